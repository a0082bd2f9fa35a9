//! The one layer behind which services stand: an admission decides about every call, and what it
//! gives is held until the call's answer is sent or dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::Service;
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

use super::BoxError;

/// Decides about calls before a service sees them.
pub trait Admission: Clone + fmt::Debug + Send + Sync + 'static {
    /// What a call that passes holds as long as it lasts.
    type Held: Held;

    /// Decides about one call, and leaves among its extensions what the service is to know.
    ///
    /// # Errors
    /// The answer to a call that does not pass; the service never sees that call.
    fn pass(&self, request: &mut Request<Body>) -> Result<Self::Held, Box<Response<Body>>>;
}

/// What a call holds from its beginning until its answer is sent or dropped.
pub trait Held: fmt::Debug + Send + Unpin + 'static {
    /// Marks the head of the answer.
    fn mark(&self, _headers: &mut HeaderMap) {}

    /// What the call's log lines stand in.
    fn span(&self) -> Span {
        Span::none()
    }
}

/// A service behind an admission.
#[derive(Debug, Clone)]
pub struct Gated<S, A> {
    inner: S,
    admission: A,
}

impl<S, A> Gated<S, A> {
    pub(super) const fn new(inner: S, admission: A) -> Self {
        Self { inner, admission }
    }
}

impl<S, A> Service<Request<Body>> for Gated<S, A>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
    A: Admission,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answering<S::Future, A::Held>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.admission.pass(&mut request) {
            Ok(held) => {
                let span = held.span();
                let answer = span.in_scope(|| self.inner.call(request));
                Answering {
                    answer: Some(answer.instrument(span)),
                    held: Some(held),
                    refused: None,
                }
            }
            Err(response) => Answering {
                answer: None,
                held: None,
                refused: Some(response),
            },
        }
    }
}

pin_project! {
    /// The answer to one call, which keeps what the call holds until the body takes it over.
    #[derive(Debug)]
    pub struct Answering<F, H> {
        // The service's answer; none where the call did not pass.
        #[pin]
        answer: Option<Instrumented<F>>,
        held: Option<H>,
        refused: Option<Box<Response<Body>>>,
    }
}

impl<F, E, H> Future for Answering<F, H>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<BoxError>,
    H: Held,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answered = || BoxError::from("the answer was taken already");
        let Some(answer) = this.answer.as_pin_mut() else {
            let refused = this.refused.take().ok_or_else(answered)?;
            return Poll::Ready(Ok(*refused));
        };
        let mut response = ready!(answer.poll(cx)).map_err(Into::into)?;
        let held = this.held.take().ok_or_else(answered)?;
        held.mark(response.headers_mut());
        Poll::Ready(Ok(response.map(|body| holding(body, held))))
    }
}

/// A body whose frames keep what the call holds, so that a call lasts until its body is sent or
/// dropped.
fn holding<H: Held>(body: Body, held: H) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &held;
        frame
    }))
}
