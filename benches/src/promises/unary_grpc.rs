//! Small gRPC calls through our server and client, beside bare tonic under the same TLS.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hpc_auth::PeerPolicy;
use hpc_auth::ca::Authority;
use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};
use hpc_rpc::grpc::control::v1::system_service_client::SystemServiceClient;
use hpc_rpc::grpc::control::v1::system_service_server::{SystemService, SystemServiceServer};
use hpc_rpc::grpc::{GrpcClientBuilder, GrpcServerBuilder};
use hpc_types::control::v1::{Document, HealthRequest, HealthResponse, InfoRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status};

use super::Promise;
use crate::Result;
use crate::harness::{Bench, Report, Samples, count, rate, show};
use crate::world::each;

pub(super) const PROMISE: Promise = Promise {
    name: "unary_grpc",
    about: "unary gRPC through our stack: 0.95 of bare tonic's throughput or better, at most 3 us more at the median",
    run,
};

/// Calls in flight when throughput is measured.
const AT_ONCE: usize = 64;

struct Healthy;

#[tonic::async_trait]
impl SystemService for Healthy {
    async fn info(&self, _: Request<InfoRequest>) -> std::result::Result<Response<Document>, Status> {
        Err(Status::unimplemented("info"))
    }

    async fn health(
        &self,
        _: Request<HealthRequest>,
    ) -> std::result::Result<Response<HealthResponse>, Status> {
        Ok(Response::new(HealthResponse { serving: true, ..HealthResponse::default() }))
    }
}

fn run(bench: &Bench) -> Result<Report> {
    bench.runtime()?.block_on(measure(bench))
}

async fn measure(bench: &Bench) -> Result<Report> {
    let ca = generate_ca_cert("Bench CA")?;
    let server = GrpcServerBuilder::new("127.0.0.1:0")
        .with_tls(generate_signed_cert(&ServiceIdentity::new("server"), &ca)?)?
        .with_client_auth(&ca)?
        .add_service(SystemServiceServer::new(Healthy))
        .build()?;
    let uri = format!("https://{}", server.local_addr());
    let serving = tokio::spawn(server.serve());
    let ours = GrpcClientBuilder::new(uri)
        .with_server_ca(&ca)
        .with_client_cert(generate_signed_cert(&ServiceIdentity::new("client"), &ca)?)
        .with_pool_size(1)
        .connect()
        .await?;
    let ours = SystemServiceClient::new(ours);
    let bare = SystemServiceClient::new(bare(&ca).await?);

    let (calls, rounds) = (bench.size(4_000, 10), bench.size(5, 1));
    let (mut our_wait, mut bare_wait) = (Samples::default(), Samples::default());
    let (mut our_time, mut bare_time) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        // In turns, so that both see the same machine.
        our_wait.extend(one_by_one(&ours, calls).await?);
        bare_wait.extend(one_by_one(&bare, calls).await?);
        our_time += together(&ours, calls * 4).await?;
        bare_time += together(&bare, calls * 4).await?;
    }
    let tcp = ping_pong(calls).await?;
    let all = calls * 4 * rounds;
    let (our_rate, bare_rate) = (rate(all, our_time), rate(all, bare_time));
    let more_us = (our_wait.p50().as_secs_f64() - bare_wait.p50().as_secs_f64()) * 1e6;
    serving.abort();
    Ok(Report::new()
        .measured("calls_per_s", count(our_rate))
        .measured("p50", show(our_wait.p50()))
        .rival("tonic_calls_per_s", count(bare_rate))
        .rival("tonic_p50", show(bare_wait.p50()))
        .rival("tcp_ping_pong_p50", show(tcp.p50()))
        .ratio(our_rate / bare_rate)
        .goal("throughput/tonic>=0.95", our_rate / bare_rate >= 0.95)
        .goal("p50-tonic<=3us", more_us <= 3.0)
        .note(format!(
            "one connection, mutual TLS 1.3 on both sides from the same configurations, loopback; {AT_ONCE} calls in \
             flight, then one by one: {more_us:+.1} us at the median; p99 {} and {}",
            show(our_wait.p99()),
            show(bare_wait.p99())
        )))
}

type Client<C> = SystemServiceClient<C>;

async fn call<C>(client: &Client<C>) -> Result<bool>
where
    C: tonic::client::GrpcService<tonic::body::Body> + Clone,
    C::Error: Into<crate::Failure>,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<crate::Failure> + Send,
{
    Ok(client.clone().health(HealthRequest::default()).await?.into_inner().serving)
}

async fn one_by_one<C>(client: &Client<C>, calls: usize) -> Result<Samples>
where
    C: tonic::client::GrpcService<tonic::body::Body> + Clone,
    C::Error: Into<crate::Failure>,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<crate::Failure> + Send,
{
    let mut samples = Samples::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        call(client).await?;
        samples.push(begun.elapsed());
    }
    Ok(samples)
}

async fn together<C>(client: &Client<C>, calls: usize) -> Result<Duration>
where
    C: tonic::client::GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    C::Error: Into<crate::Failure>,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<crate::Failure> + Send,
{
    let client = client.clone();
    let (served, _, time) = each(vec![(); calls], AT_ONCE, move |()| {
        let client = client.clone();
        async move { call(&client).await }
    })
    .await?;
    if served.len() != calls {
        return Err("a call was not answered".into());
    }
    Ok(time)
}

/// A client of a bare tonic server under the TLS configurations that our own stack uses.
async fn bare(ca: &Authority) -> Result<Channel> {
    let svid = generate_signed_cert(&ServiceIdentity::new("server"), ca)?;
    let mut tls = hpc_auth::server::create_server_config_with_client_auth(&svid, ca)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (give, take) = tokio::sync::mpsc::channel::<std::io::Result<Accepted>>(1);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepted = async {
                stream.set_nodelay(true)?;
                Ok(Accepted(acceptor.accept(stream).await?))
            };
            if give.send(accepted.await).await.is_err() {
                return;
            }
        }
    });
    let incoming = tokio_stream::wrappers::ReceiverStream::new(take);
    let server = Server::builder().add_service(SystemServiceServer::new(Healthy));
    tokio::spawn(server.serve_with_incoming(incoming));

    let svid = generate_signed_cert(&ServiceIdentity::new("client"), ca)?;
    let peers = PeerPolicy::TrustDomain(ca.trust_domain().clone());
    let tls = hpc_auth::client::create_client_config(&svid, &[ca.bundle()], peers, &[b"h2"])?;
    let connector = TlsConnector::from(Arc::new(tls));
    let connect = tower::service_fn(move |_: Uri| dial(connector.clone(), address));
    Ok(Endpoint::from_static("http://server").connect_with_connector(connect).await?)
}

async fn dial(
    connector: TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("server").map_err(std::io::Error::other)?;
    Ok(TokioIo::new(connector.connect(name, stream).await?))
}

/// A connection in the form that tonic wants.
struct Accepted(TlsStream<TcpStream>);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// One byte there and back over plain TCP: what any call costs at least.
async fn ping_pong(calls: usize) -> Result<Samples> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut here = TcpStream::connect(listener.local_addr()?).await?;
    let (mut there, _) = listener.accept().await?;
    here.set_nodelay(true)?;
    there.set_nodelay(true)?;
    tokio::spawn(async move {
        let mut byte = [0];
        while there.read_exact(&mut byte).await.is_ok() && there.write_all(&byte).await.is_ok() {}
    });
    let mut samples = Samples::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        here.write_all(&[1]).await?;
        here.read_exact(&mut [0]).await?;
        samples.push(begun.elapsed());
    }
    Ok(samples)
}
