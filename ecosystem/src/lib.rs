//! What the tests of other people's libraries share: a server, an answer, a certificate.
//!
//! Each file in `tests/` is about one library, or a few of a kind, and shows how it is put on this
//! runtime: which traits it takes, what it is to be given (an executor, a timer), and that it is
//! woken, cancelled and closed as it should be.

pub mod bridge;
#[cfg(all(unix, feature = "servers"))]
pub mod redis;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use gather::{Task, TcpListener, TcpStream, spawn};
use gather_tests::addresses::HERE;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the certificate.
pub const NAME: &str = "localhost";

/// Accepts connections at a free port, and runs a task for each. Dropping the server stops the
/// accepting; the connections go on.
///
/// # Panics
///
/// If there is no port, or the task panics at an accept that fails.
pub async fn serve<F: Future + 'static>(
    connection: impl Fn(TcpStream) -> F + 'static,
) -> (SocketAddr, Task<()>) {
    let listener = TcpListener::bind(HERE).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("the tests leave descriptors");
            spawn(connection(stream)).detach();
        }
    });
    (address, server)
}

/// Answers a request with its path and its own body.
///
/// # Errors
///
/// If the body breaks off.
pub async fn echo(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let mut answer = format!("{} ", request.uri().path()).into_bytes();
    answer.extend_from_slice(&read(request.into_body()).await?);
    Ok(Response::new(Full::new(answer.into())))
}

/// A request with a body, for [`echo`].
///
/// # Panics
///
/// If the address is no URI.
pub fn ask(uri: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(uri).header("host", NAME).body(Full::new(body.into())).expect("a valid request")
}

/// Reads a body to its end.
///
/// # Errors
///
/// If it breaks off.
pub async fn read(body: Incoming) -> hyper::Result<Bytes> {
    Ok(body.collect().await?.to_bytes())
}

/// The configurations of a server and of a client that trusts it.
#[derive(Clone, Debug)]
pub struct Tls {
    /// With a certificate for [`NAME`] that was made just now.
    pub server: Arc<ServerConfig>,
    /// Which trusts that certificate and no other.
    pub client: Arc<ClientConfig>,
}

impl Tls {
    /// For these protocols (ALPN), with ring as the provider: said here, not taken from a setting
    /// of the process.
    ///
    /// # Panics
    ///
    /// If a certificate cannot be made.
    pub fn new(protocols: &[&[u8]]) -> Tls {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let certificate: CertificateDer<'static> = made.cert.into();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");

        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key fits");
        server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = server.alpn_protocols.clone();
        Tls { server: Arc::new(server), client: Arc::new(client) }
    }
}
