//! A peer's stream that can be cut from outside, and that must open with HTTP/2 in time.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::connections::{NamesHolder, PeerConnection, Registration};
use super::cut::Cut;
use super::places::Place;
use crate::membership::PeerCertificate;

/// Bytes of the HTTP/2 connection preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// A TLS stream with a peer. Cutting its registered connection ends it, with all calls on it.
pub struct PeerStream<S, C: NamesHolder = PeerCertificate> {
    inner: S,
    cut: Cut,
    registration: Registration<C>,
    preface: Option<Preface>,
    /// What the listener counts; given back when the stream is dropped.
    _place: Option<Place>,
}

struct Preface {
    deadline: Pin<Box<Sleep>>,
    seen: usize,
}

impl<S, C: NamesHolder> PeerStream<S, C> {
    /// A stream that this node opened.
    pub(super) fn dialled(inner: S, registration: Registration<C>) -> Self {
        Self {
            inner,
            cut: registration.cut().clone(),
            registration,
            preface: None,
            _place: None,
        }
    }

    /// A stream that the peer opened; it must send the HTTP/2 preface within `preface`.
    pub(super) fn accepted(
        inner: S,
        registration: Registration<C>,
        place: Place,
        preface: Duration,
    ) -> Self {
        Self {
            preface: Some(Preface {
                deadline: Box::pin(tokio::time::sleep(preface)),
                seen: 0,
            }),
            _place: Some(place),
            ..Self::dialled(inner, registration)
        }
    }

    fn ended(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        // Whoever drives a connection waits to read at all times, so that is where it is woken.
        if self.cut.is_cut_or_wakes(cx) {
            return Some(cut_error());
        }
        let late = self
            .preface
            .as_mut()
            .is_some_and(|preface| preface.deadline.as_mut().poll(cx).is_ready());
        late.then(|| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer did not begin HTTP/2 in time",
            )
        })
    }
}

fn cut_error() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "this node cut the connection: the peer is no longer admitted, or was idle",
    )
}

impl<S: AsyncRead + Unpin, C: NamesHolder> AsyncRead for PeerStream<S, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.ended(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(preface) = &mut self.preface {
            preface.seen += buf.filled().len().saturating_sub(before);
            if preface.seen >= PREFACE_BYTES {
                self.preface = None;
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin, C: NamesHolder> AsyncWrite for PeerStream<S, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cut() {
            return Poll::Ready(Err(cut_error()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cut() {
            return Poll::Ready(Err(cut_error()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S, C: NamesHolder> Connected for PeerStream<S, C> {
    type ConnectInfo = PeerConnection<C>;

    fn connect_info(&self) -> PeerConnection<C> {
        self.registration.connection().clone()
    }
}

impl<S, C: NamesHolder> fmt::Debug for PeerStream<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream")
            .field("connection", self.registration.connection())
            .finish_non_exhaustive()
    }
}
