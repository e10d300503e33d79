//! Telemetry from nodes over QUIC with mutual TLS into the embedded store, as the daemon takes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use hpc_agent::points_from_batch;
use hpc_auth::PeerPolicy;
use hpc_auth::ca::Authority;
use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
use hpc_rpc::quic::{QuicClientBuilder, QuicServerBuilder};
use hpc_timeseries::{Durability, TimeSeriesStore};
use hpc_transport::{
    CallContext, FrameSink, FrameSource, Handler, StreamContext, StreamName, Transport, TransportError,
};
use hpc_tsdb_embedded::EmbeddedTsdb;
use hpc_types::telemetry::v1::{BatchAck, MetricBatch};
use prost::Message;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};

use super::Promise;
use super::tsdb_ingest::store;
use crate::fixtures::VALUES_PER_METRIC;
use crate::harness::{Bench, Report, count, rate};
use crate::world::each;
use crate::{Result, fixtures};

pub(super) const PROMISE: Promise = Promise {
    name: "telemetry_quic",
    about: "at least 500,000 points a second from nodes over QUIC with mutual TLS into the embedded store",
    run,
};

/// Nodes that send at the same time, each over a connection of its own.
const NODES: usize = 4;
/// Metrics of one batch.
const METRICS: usize = 500;
/// Batches of a node that wait for their acknowledgement.
const IN_FLIGHT: usize = 8;

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let batches = bench.size(120, 2);
    let ca = generate_ca_cert("Bench CA")?;
    let values = NODES * batches * METRICS * VALUES_PER_METRIC;
    let nodes: Vec<Vec<MetricBatch>> = (0..NODES)
        .map(|node| (0..batches).map(|n| fixtures::batch(&format!("node-{node}"), METRICS, n)).collect())
        .collect::<Result<_>>()?;

    let ours = rate(values, end_to_end(bench, &ca, nodes.clone()).await?);
    let alone = rate(values, store_alone(bench, &nodes).await?);
    let quinn = rate(values, bare_quinn(&ca, &nodes).await?);
    // One after the other on the same processors, the two would take the sum of their times.
    let both = 1.0 / (1.0 / alone + 1.0 / quinn);
    Ok(Report::new()
        .measured("points_per_s", count(ours))
        .rival("quinn_and_store_per_s", count(both))
        .rival("store_alone_per_s", count(alone))
        .rival("quinn_alone_per_s", count(quinn))
        .ratio(ours / both)
        .goal("points_per_s>=500k", ours >= 500_000.0)
        .note(format!(
            "a point is one value with its time; {NODES} nodes, batches of {METRICS} metrics with {VALUES_PER_METRIC} \
             values, {IN_FLIGHT} unacknowledged; encoding, checks and durable writes included; both ends on this machine"
        )))
}

/// What the daemon does with a stream, without its policy check.
struct Ingest(Arc<EmbeddedTsdb>);

#[async_trait]
impl Handler for Ingest {
    async fn call(&self, context: CallContext, _request: Bytes) -> hpc_transport::Result<Bytes> {
        Err(TransportError::unimplemented(context.method.path()))
    }

    async fn stream(
        &self,
        _context: StreamContext,
        mut source: Box<dyn FrameSource>,
        sink: &mut dyn FrameSink,
    ) -> hpc_transport::Result<()> {
        while let Some(frame) = source.receive().await? {
            let batch =
                MetricBatch::decode(frame).map_err(|error| TransportError::malformed(error.to_string()))?;
            let found = points_from_batch(&batch);
            let report = self
                .0
                .write(found.points, Durability::Group)
                .await
                .map_err(|error| TransportError::failed(error.to_string()))?;
            let ack = BatchAck {
                drain_until: None,
                sequence: batch.sequence,
                accepted_count: report.accepted as u64,
                rejected_count: found.rejected + report.rejected.len() as u64,
                reason: String::new(),
            };
            sink.send(Bytes::from(ack.encode_to_vec())).await?;
        }
        Ok(())
    }
}

async fn end_to_end(bench: &Bench, ca: &Authority, nodes: Vec<Vec<MetricBatch>>) -> Result<Duration> {
    let server = QuicServerBuilder::new(SocketAddr::from(([127, 0, 0, 1], 0)))
        .with_tls(generate_signed_cert(&ServiceIdentity::new("server"), ca)?)?
        .with_client_auth(ca)?
        .with_handler(Arc::new(Ingest(Arc::new(store(bench)?))))
        .build()?;
    let address = server.local_addr().to_string();
    let serving = tokio::spawn(server.serve());
    let mut links = Vec::new();
    for (number, batches) in nodes.into_iter().enumerate() {
        let link = QuicClientBuilder::new(address.as_str())
            .with_server_ca(ca)
            .with_client_cert(generate_signed_cert(&ServiceIdentity::new(format!("node-{number}")), ca)?)
            .connect()
            .await?;
        links.push((link.open(&StreamName::parse("telemetry.v1")?).await?, link, batches));
    }
    let begun = Instant::now();
    let senders: Vec<_> = links
        .into_iter()
        .map(|(mut frames, link, batches)| {
            tokio::spawn(async move {
                let room = tokio::sync::Semaphore::new(IN_FLIGHT);
                let expected = batches.len();
                let send = async {
                    for batch in &batches {
                        room.acquire().await?.forget();
                        frames.sink.send(Bytes::from(batch.encode_to_vec())).await?;
                    }
                    Result::Ok(())
                };
                let receive = async {
                    for _ in 0..expected {
                        let frame = frames.source.receive().await?.ok_or("the stream ended early")?;
                        let ack = BatchAck::decode(frame)?;
                        if ack.accepted_count != METRICS as u64 {
                            return Err(format!("a batch was not taken whole: {}", ack.reason).into());
                        }
                        room.add_permits(1);
                    }
                    Result::Ok(())
                };
                tokio::try_join!(send, receive)?;
                drop(link);
                Result::Ok(())
            })
        })
        .collect();
    for sender in senders {
        sender.await??;
    }
    let time = begun.elapsed();
    serving.abort();
    Ok(time)
}

/// The same points into a store, without network.
async fn store_alone(bench: &Bench, nodes: &[Vec<MetricBatch>]) -> Result<Duration> {
    let store = Arc::new(store(bench)?);
    let longest = nodes.first().map_or(0, Vec::len);
    let points: Vec<_> = (0..longest)
        .flat_map(|n| nodes.iter().filter_map(move |batches| batches.get(n)))
        .map(|batch| points_from_batch(batch).points)
        .collect();
    let (.., time) = each(points, NODES, move |points| {
        let store = Arc::clone(&store);
        async move { Ok(store.write(points, Durability::Group).await?.accepted) }
    })
    .await?;
    Ok(time)
}

/// The same bytes over bare quinn with the same TLS: each batch a length and its bytes, one byte back.
async fn bare_quinn(ca: &Authority, nodes: &[Vec<MetricBatch>]) -> Result<Duration> {
    let svid = generate_signed_cert(&ServiceIdentity::new("server"), ca)?;
    let mut tls = hpc_auth::server::create_server_config_with_client_auth(&svid, ca)?;
    tls.alpn_protocols = vec![b"bare".to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let server = quinn::Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = server.local_addr()?;
    let accepting = tokio::spawn(async move {
        while let Some(incoming) = server.accept().await {
            tokio::spawn(async move {
                let connection = incoming.await?;
                let (mut answer, mut source) = connection.accept_bi().await?;
                let mut length = [0; 4];
                while source.read_exact(&mut length).await.is_ok() {
                    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
                    source.read_exact(&mut bytes).await?;
                    answer.write_all(&[1]).await?;
                }
                Result::Ok(())
            });
        }
    });
    let peers = PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let svid = generate_signed_cert(&ServiceIdentity::new("node"), ca)?;
    let tls = hpc_auth::client::create_client_config(&svid, &[ca.bundle()], peers, &[b"bare"])?;
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut streams = Vec::new();
    for batches in nodes {
        let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        endpoint.set_default_client_config(config.clone());
        let connection = endpoint.connect(address, "server")?.await?;
        let frames: Vec<Vec<u8>> = batches
            .iter()
            .map(|batch| {
                let bytes = batch.encode_to_vec();
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
                [length.as_slice(), &bytes].concat()
            })
            .collect();
        streams.push((connection.open_bi().await?, connection, endpoint, frames));
    }
    let begun = Instant::now();
    let senders: Vec<_> = streams
        .into_iter()
        .map(|((mut sink, mut source), connection, endpoint, frames)| {
            tokio::spawn(async move {
                let send = async {
                    for frame in &frames {
                        sink.write_all(frame).await?;
                    }
                    Result::Ok(())
                };
                let receive = async {
                    let mut acks = vec![0; frames.len()];
                    source.read_exact(&mut acks).await?;
                    Result::Ok(())
                };
                tokio::try_join!(send, receive)?;
                drop((connection, endpoint));
                Result::Ok(())
            })
        })
        .collect();
    for sender in senders {
        sender.await??;
    }
    let time = begun.elapsed();
    accepting.abort();
    Ok(time)
}
