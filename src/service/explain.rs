//! What this node tells whoever it refuses.

use tonic::{Request, Response, Status};

use crate::wire::Verdict;
use crate::wire::pb::{self, explain_server::Explain};

/// The one service that needs no admission. It tells what the gate found.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExplainService;

#[tonic::async_trait]
impl Explain for ExplainService {
    async fn explain(
        &self,
        request: Request<pb::ExplainRequest>,
    ) -> Result<Response<pb::ExplainResponse>, Status> {
        let verdict = request.extensions().get::<Verdict>().cloned();
        let verdict = verdict
            .ok_or_else(|| Status::unauthenticated("this call did not pass the membership gate"))?;
        Ok(Response::new(verdict.into()))
    }
}
