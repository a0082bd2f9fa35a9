//! What strangers and hostile members can hold or exhaust: silence, floods, oversized headers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use creditmesh::net::ListenLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::Code;
use tonic::metadata::MetadataValue;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Network, Shown, check, id, raw_config, raw_connect, request, watch};

fn impatient() -> ListenLimits {
    ListenLimits {
        handshake: Duration::from_millis(400),
        preface: Duration::from_millis(400),
        ..ListenLimits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_silent_peers_do_not_hold_up_a_good_one() {
    let mut network = Network::new().await;
    let trust = network.trust();
    let node = network.start_with("bank-b", trust, impatient());
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(network.address("bank-b")).await.unwrap());
    }
    let begun = Instant::now();
    network.caller("bank-a").check("bank-b").await.unwrap();
    let took = begun.elapsed();
    println!("connected and called in {took:?}");
    assert!(took < Duration::from_millis(400), "{took:?}");
    for mut tcp in silent {
        let end = tokio::time::timeout(Duration::from_secs(3), tcp.read(&mut [0; 1])).await;
        assert_eq!(end.expect("closed after its deadline").unwrap_or(0), 0);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_never_begins_http_2_is_closed() {
    let mut network = Network::new().await;
    let trust = network.trust();
    let node = network.start_with("bank-b", trust, impatient());
    let config = Arc::new(raw_config(&network, Some(&Shown::of(&network, "bank-a"))));
    let mut stream = raw_connect(&network, "bank-b", &config).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await;
    end.expect("closed after its deadline").ok();
    assert_eq!(node.trust.connections().open(), 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_only_so_many_connections() {
    let mut network = Network::new().await;
    let limits = ListenLimits {
        connections_per_address: 3,
        ..ListenLimits::default()
    };
    let trust = network.trust();
    let node = network.start_with("bank-b", trust, limits);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(network.address("bank-b")).await.unwrap());
    }
    let mut fourth = TcpStream::connect(network.address("bank-b")).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(2), fourth.read(&mut [0; 1])).await;
    assert_eq!(end.expect("closed at once").unwrap_or(0), 0);
    drop(held);
    tokio::time::sleep(Duration::from_millis(100)).await;
    network.caller("bank-a").check("bank-b").await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_gives_its_place_to_whoever_comes_later() {
    let mut network = Network::new().await;
    let limits = ListenLimits {
        connections: 4,
        ..ListenLimits::default()
    };
    let trust = network.trust();
    let node = network.start_with("bank-b", trust, limits);
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(network.address("bank-b")).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    network.caller("bank-a").check("bank-b").await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(2), silent[0].read(&mut [0; 1])).await;
    assert_eq!(end.expect("the oldest is closed at once").unwrap_or(0), 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_gets_only_so_many_connections() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let config = Arc::new(raw_config(&network, Some(&Shown::of(&network, "bank-a"))));
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = raw_connect(&network, "bank-b", &config).await.unwrap();
        stream.read_u8().await.unwrap();
        held.push(stream);
    }
    let mut next = raw_connect(&network, "bank-b", &config).await.unwrap();
    assert!(next.read_u8().await.is_err());
    assert_eq!(node.trust.connections().with(&id("bank-a")), 16);
    network.caller("bank-c").check("bank-b").await.unwrap();
    node.stop().await;
}

/// One HTTP/2 frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call of `Health/Watch`, which never ends by itself (RFC 7541, literals only).
fn watch_headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86]; // POST, http
    let mut literal = |index: &[u8], name: &[u8], value: &[u8]| {
        block.extend(index);
        for text in [name, value] {
            if !text.is_empty() {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend(text);
            }
        }
    };
    literal(&[0x04], b"", b"/grpc.health.v1.Health/Watch");
    literal(&[0x01], b"", b"bank-b.node.credit-net");
    literal(&[0x00], b"content-type", b"application/grpc");
    literal(&[0x00], b"te", b"trailers");
    block
}

struct Flood {
    stream: TlsStream<TcpStream>,
}

impl Flood {
    async fn new(network: &Network) -> Self {
        let config = Arc::new(raw_config(network, Some(&Shown::of(network, "bank-a"))));
        let mut stream = raw_connect(network, "bank-b", &config).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        Self { stream }
    }

    /// Sends frames until the server ends the connection; gives the frames that it sent: kind and
    /// payload.
    async fn run(self, frames: impl Iterator<Item = Vec<u8>> + Send) -> Vec<(u8, Vec<u8>)> {
        let (mut read, mut write) = tokio::io::split(self.stream);
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut head = [0; 9];
            while read.read_exact(&mut head).await.is_ok() {
                let length = usize::from(head[1]) * 256 + usize::from(head[2]);
                let mut payload = vec![0; length + usize::from(head[0]) * 65_536];
                if read.read_exact(&mut payload).await.is_err() {
                    break;
                }
                seen.push((head[3], payload));
            }
            seen
        });
        for bytes in frames {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
        write.flush().await.ok();
        tokio::time::timeout(Duration::from_secs(10), reader)
            .await
            .expect("the server ends the connection")
            .unwrap()
    }
}

/// The error code of the `GOAWAY` among the frames.
fn goaway(frames: &[(u8, Vec<u8>)]) -> Option<u8> {
    let end = frames.iter().find(|(kind, _)| *kind == 7);
    end.map(|(_, payload)| payload[7])
}

const ENHANCE_YOUR_CALM: u8 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_open_streams_ends_the_connection() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let streams = (0..20_000).map(|n| frame(1, 4, 2 * n + 1, &watch_headers()));
    // Each stream gets an empty message, so that the call begins: 5 bytes of gRPC framing.
    let calls = streams.enumerate().map(|(n, mut headers)| {
        let stream = u32::try_from(2 * n + 1).unwrap();
        headers.extend(frame(0, 1, stream, &[0; 5]));
        headers
    });
    let seen = Flood::new(&network).await.run(calls).await;
    let answered = seen.iter().filter(|(kind, _)| *kind == 1).count();
    let refused = seen.iter().filter(|(kind, _)| *kind == 3).count();
    println!(
        "{answered} streams answered, {refused} refused, GOAWAY {:?}",
        goaway(&seen)
    );
    assert!(answered <= 64, "{answered}");
    assert_eq!(goaway(&seen), Some(ENHANCE_YOUR_CALM));
    network.caller("bank-c").check("bank-b").await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_the_connection() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let resets = (0..20_000).map(|n| {
        let mut both = frame(1, 4, 2 * n + 1, &watch_headers());
        both.extend(frame(3, 0, 2 * n + 1, &[0, 0, 0, 8]));
        both
    });
    let seen = Flood::new(&network).await.run(resets).await;
    assert_eq!(goaway(&seen), Some(ENHANCE_YOUR_CALM));
    network.caller("bank-c").check("bank-b").await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuations_ends_the_connection() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let begin = frame(1, 0, 1, &watch_headers());
    // A header `x` with a value of 10,000 bytes.
    let mut more = vec![0x00, 1, b'x', 0x7f, 0x91, 0x4d];
    more.extend(vec![b'y'; 10_000]);
    let frames = std::iter::once(begin).chain((0..2_000).map(move |_| frame(9, 0, 1, &more)));
    let seen = Flood::new(&network).await.run(frames).await;
    println!("GOAWAY {:?}", goaway(&seen));
    assert_eq!(goaway(&seen), Some(ENHANCE_YOUR_CALM));
    network.caller("bank-c").check("bank-b").await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_headers_fail_their_call_only() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    let mut open = watch(channel.clone()).await;
    let mut call = tonic::Request::new(request());
    let value = MetadataValue::try_from("x".repeat(20 * 1024)).unwrap();
    call.metadata_mut().insert("x-filler", value);
    let refused = HealthClient::new(channel.clone()).check(call).await;
    println!("{:?}", refused.unwrap_err());
    check(channel).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(200), open.message()).await;
    assert!(quiet.is_err(), "the connection and its other calls go on");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_messages_get_a_clear_status() {
    let mut network = Network::new().await;
    let node = network.start("bank-b");
    let caller = network.caller("bank-a");
    let channel = caller.channel("bank-b");
    let long = tonic_health::pb::HealthCheckRequest {
        service: "x".repeat(5 * 1024 * 1024),
    };
    let status = HealthClient::new(channel.clone())
        .check(long)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    check(channel).await.unwrap();
    node.stop().await;
}
