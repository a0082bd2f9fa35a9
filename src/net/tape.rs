//! Hears every message to and from peers where TLS is off: what the byte scanner looks through.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::transport::{PeerChannel, Transport};
use crate::membership::Member;

/// Hears what passes between this node and its peers, in the clear.
pub trait Tap: Send + Sync + fmt::Debug {
    /// Bytes of one direction of one call, in their order; `stream` tells the directions apart.
    fn hear(&self, stream: u64, bytes: &[u8]);
}

/// A transport whose every call is heard: paths, headers, messages and trailers, both ways.
#[derive(Debug)]
pub struct TappedTransport {
    inner: Arc<dyn Transport>,
    tap: Arc<dyn Tap>,
    streams: Arc<AtomicU64>,
}

impl TappedTransport {
    /// Lets `tap` hear the calls over `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, tap: Arc<dyn Tap>) -> Self {
        let streams = Arc::new(AtomicU64::new(0));
        Self {
            inner,
            tap,
            streams,
        }
    }
}

impl Transport for TappedTransport {
    fn channel(&self, peer: &Member) -> PeerChannel {
        let outward = Ear::of(self);
        let inward = Ear::of(self);
        let channel = self
            .inner
            .channel(peer)
            .map_request(move |request: Request<Body>| {
                let (parts, body) = request.into_parts();
                let stream = outward.next();
                outward.tap.hear(stream, parts.uri.to_string().as_bytes());
                outward.hear_headers(stream, &parts.headers);
                Request::from_parts(parts, outward.hear_body(stream, body))
            })
            .map_response(move |response: Response<Body>| {
                let (parts, body) = response.into_parts();
                let stream = inward.next();
                inward.hear_headers(stream, &parts.headers);
                Response::from_parts(parts, inward.hear_body(stream, body))
            });
        BoxCloneSyncService::new(channel)
    }
}

#[derive(Clone)]
struct Ear {
    tap: Arc<dyn Tap>,
    streams: Arc<AtomicU64>,
}

impl Ear {
    fn of(transport: &TappedTransport) -> Self {
        Self {
            tap: Arc::clone(&transport.tap),
            streams: Arc::clone(&transport.streams),
        }
    }

    fn next(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    fn hear_headers(&self, stream: u64, headers: &HeaderMap) {
        for (name, value) in headers {
            self.tap.hear(stream, name.as_str().as_bytes());
            self.tap.hear(stream, value.as_bytes());
        }
    }

    fn hear_body(&self, stream: u64, body: Body) -> Body {
        let ear = self.clone();
        Body::new(body.map_frame(move |frame| {
            if let Some(bytes) = frame.data_ref() {
                ear.tap.hear(stream, bytes);
            }
            if let Some(trailers) = frame.trailers_ref() {
                ear.hear_headers(stream, trailers);
            }
            frame
        }))
    }
}
