//! The simulated transport: calls reach a replica's real gate and service late or never, and
//! streams break off.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use creditmesh::domain::MemberId;
use creditmesh::membership::{Member, PeerCertificate};
use creditmesh::net::{Gate, PeerChannel, Transport, local_channel};
use creditmesh::service::PeerService;
use creditmesh::wire::pb::peer_server::PeerServer;
use futures::StreamExt;
use futures::stream::unfold;
use http::{Request, Response};
use http_body_util::{BodyStream, StreamBody};
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::dice::Dice;

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Each way takes less than this many milliseconds.
    pub(crate) latency_ms: u64,
    /// So many of a hundred calls lose their request.
    pub(crate) lost_requests: u64,
    /// So many of a hundred calls lose their answer.
    pub(crate) lost_answers: u64,
    /// So many of a hundred answers break off within their body.
    pub(crate) cut_bodies: u64,
}

impl Weather {
    /// Nothing goes wrong, at once.
    pub(crate) const CALM: Self = Self {
        latency_ms: 1,
        lost_requests: 0,
        lost_answers: 0,
        cut_bodies: 0,
    };
}

/// All lines between all members.
#[derive(Debug)]
pub(crate) struct Wires {
    serving: Mutex<BTreeMap<(MemberId, usize), Serving>>,
    dice: Dice,
    weather: Weather,
}

#[derive(Debug, Clone)]
struct Serving {
    gate: Gate,
    service: PeerService,
}

impl Wires {
    /// Lines on which nobody serves yet.
    pub(crate) fn new(dice: Dice, weather: Weather) -> Self {
        Self {
            serving: Mutex::default(),
            dice,
            weather,
        }
    }

    /// A replica serves.
    pub(crate) fn plug(&self, member: &MemberId, replica: usize, gate: Gate, service: PeerService) {
        let serving = Serving { gate, service };
        let place = (member.clone(), replica);
        self.serving.lock().unwrap().insert(place, serving);
    }

    /// A replica is gone.
    pub(crate) fn unplug(&self, member: &MemberId, replica: usize) {
        self.serving
            .lock()
            .unwrap()
            .remove(&(member.clone(), replica));
    }

    /// Everybody is gone.
    pub(crate) fn unplug_all(&self) {
        self.serving.lock().unwrap().clear();
    }

    /// One of the member's replicas that serve now.
    fn pick(&self, member: &MemberId) -> Result<Serving, Status> {
        let serving = self.serving.lock().unwrap();
        let live: Vec<&Serving> = serving
            .iter()
            .filter(|((one, _), _)| one == member)
            .map(|(_, serving)| serving)
            .collect();
        let count = u64::try_from(live.len()).unwrap();
        if count == 0 {
            return Err(Status::unavailable("nobody is there"));
        }
        let chosen = usize::try_from(self.dice.below(count)).unwrap();
        Ok(live[chosen].clone())
    }

    async fn carry(
        &self,
        from: Arc<PeerCertificate>,
        to: &MemberId,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let (dice, weather) = (&self.dice, &self.weather);
        sleep(dice.ms(weather.latency_ms)).await;
        if dice.chance(weather.lost_requests) {
            return self.lost().await;
        }
        let Serving { gate, service } = self.pick(to)?;
        let calling = local_channel(gate.layer(PeerServer::new(service)), from).oneshot(request);
        let response = if dice.chance(50) {
            // The peer goes on with what it began although the caller has given up.
            let task = tokio::spawn(calling);
            task.await.map_err(|_| Status::cancelled("gone"))??
        } else {
            calling.await?
        };
        sleep(dice.ms(weather.latency_ms)).await;
        if dice.chance(weather.lost_answers) {
            return self.lost().await;
        }
        let cut_after = dice.chance(weather.cut_bodies).then(|| dice.below(4));
        let (parts, body) = response.into_parts();
        let slow = Slow {
            frames: BodyStream::new(body),
            passed: 0,
            cut_after,
            dice: dice.clone(),
            latency_ms: weather.latency_ms,
        };
        Ok(Response::from_parts(parts, slow.into_body()))
    }

    /// What the caller of a lost call meets: an error, or silence.
    async fn lost(&self) -> Result<Response<Body>, Status> {
        if self.dice.chance(50) {
            return pending().await;
        }
        Err(Status::unavailable("the connection broke"))
    }
}

/// A body whose frames take their time, and that may break off.
struct Slow {
    frames: BodyStream<Body>,
    passed: u64,
    cut_after: Option<u64>,
    dice: Dice,
    latency_ms: u64,
}

impl Slow {
    fn into_body(self) -> Body {
        let frames = unfold(self, |mut slow| async move {
            let frame = slow.frames.next().await?;
            sleep(slow.dice.ms(slow.latency_ms)).await;
            if slow.cut_after == Some(slow.passed) {
                if slow.dice.chance(50) {
                    return pending().await;
                }
                return Some((Err(Status::unavailable("the stream broke off")), slow));
            }
            slow.passed += 1;
            Some((frame, slow))
        });
        Body::new(StreamBody::new(frames))
    }
}

/// One member's end of the wires.
#[derive(Debug)]
pub(crate) struct SimulatedTransport {
    pub(crate) wires: Arc<Wires>,
    pub(crate) own: Arc<PeerCertificate>,
}

impl Transport for SimulatedTransport {
    fn channel(&self, peer: &Member) -> PeerChannel {
        let (wires, own, to) = (
            Arc::clone(&self.wires),
            Arc::clone(&self.own),
            peer.id.clone(),
        );
        BoxCloneSyncService::new(service_fn(move |request| {
            let (wires, own, to) = (Arc::clone(&wires), Arc::clone(&own), to.clone());
            async move { wires.carry(own, &to, request).await }
        }))
    }
}
