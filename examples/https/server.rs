//! The server that is there when no `--url` names another, with a certificate for `localhost` that
//! it makes at its start.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use gather::{TcpListener, TcpStream, sleep, spawn};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What every request is answered with.
const BODY: Bytes = Bytes::from_static(b"This came over TLS, from a server in the same thread.");

/// Starts the server on a free port, and gives its URL and its certificate. It ends with the
/// runtime.
pub(crate) async fn start() -> Result<(Uri, CertificateDer<'static>), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = made.cert.into();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("https://localhost:{}/", listener.local_addr()?.port()).parse()?;
    let serve = async move {
        loop {
            match listener.accept().await {
                // A client that goes away in the middle, or does not trust us, is its own affair.
                Ok((stream, _)) => {
                    let acceptor = acceptor.clone();
                    spawn(async { drop(answer(acceptor, stream).await) }).detach();
                }
                // Most likely the process has no file descriptor left: some connections must end
                // first.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    spawn(serve).detach();
    Ok((url, certificate))
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let stream = acceptor.accept(stream).await?;
    let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(BODY))));
    http1::Builder::new().timer(gather::hyper::Timer).serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}
