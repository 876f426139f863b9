//! Gathered HTTPS requests: hyper over rustls (with ring), against a server with a certificate
//! that was made at its start.
//!
//!     cargo run --release --features tls --example https
//!
//! prints, for example:
//!
//!     GET https://localhost:40123/, 200 requests, 16 at a time
//!     200 answers with status 200, 10600 bytes in 640.1ms
//!     handshakes: 94 in full, 106 resumed
//!     without the server's certificate: invalid peer certificate: UnknownIssuer
//!
//!     cargo run --release --features tls --example https -- --url https://example.com/ --ca /etc/ssl/certs/ca-certificates.crt
//!
//! asks another server, which has to show a certificate that one of these authorities has signed.
//! The feature `tls` is there because ring takes long to build, and wants a C compiler.
//!
//! What is to be seen here: rustls is a state machine that asks for no runtime, tokio-rustls
//! drives it over anything that has tokio's traits, and `TcpStream` has them with the feature
//! `tokio-io`. The provider is passed explicitly, as there may be several in a program.

mod server;
#[path = "../start.rs"]
mod start;

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gather::{TcpStream, gather, run, spawn, timeout};
use gather_examples::say;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use lexopt::{Arg, Parser};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

const HELP: &str = "\
Sends GET requests over HTTPS, each over a connection of its own, and a limited number at a time.

Usage: https [OPTIONS]

Options:
      --url URL        where to send them [default: to a server of its own on the loopback interface]
      --ca FILE.pem    the certificates of those that may have signed the server's; --url wants it
      --requests N     how many requests to send [default: 200]
      --limit N        how many at a time [default: 16]
  -h, --help           show this

Exit codes: 0 every request was answered, 1 one was not, 2 the options cannot be used.";

/// The time of one request, from the connection to the end of the body.
const PATIENCE: Duration = Duration::from_secs(10);

struct Options {
    /// Another server, and whom to trust.
    other: Option<(Uri, PathBuf)>,
    requests: NonZeroUsize,
    limit: NonZeroUsize,
}

fn options(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut url, mut ca) = (None, None);
    let number = |n| NonZeroUsize::new(n).expect("not zero");
    let (mut requests, mut limit) = (number(200), number(16));
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("url") => url = Some(start::value::<Uri>(parser)?),
            Arg::Long("ca") => ca = Some(parser.value()?.into()),
            Arg::Long("requests") => requests = start::count(parser, usize::MAX)?,
            Arg::Long("limit") => limit = start::count(parser, usize::MAX)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            unknown => return Err(unknown.unexpected()),
        }
    }
    let other = match (url, ca) {
        (None, None) => None,
        (Some(url), Some(_)) if url.authority().is_some_and(|server| server.as_str().contains('@')) => {
            return Err("credentials in a URL are not sent".into());
        }
        (Some(url), Some(ca)) if url.scheme_str() == Some("https") && url.host().is_some() => Some((url, ca)),
        (Some(_), Some(_)) => return Err("a URL looks like https://host:port/path".into()),
        _ => return Err("--url and --ca go together".into()),
    };
    Ok(Some(Options { other, requests, limit }))
}

fn main() -> ExitCode {
    start::start("https", HELP, options, |options| run(https(options)))
}

async fn https(options: Options) -> Result<(), Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    let url = match &options.other {
        None => {
            let (url, certificate) = server::start().await?;
            roots.add(certificate)?;
            url
        }
        Some((url, ca)) => {
            let cannot = |error: &dyn Error| format!("{}: {error}", ca.display());
            for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| cannot(&error))? {
                roots.add(certificate.map_err(|error| cannot(&error))?)?;
            }
            if roots.is_empty() {
                return Err(format!("{}: there is no certificate in it", ca.display()).into());
            }
            url.clone()
        }
    };
    let client = Client::new(url, roots)?;
    say!("GET {}, {} requests, {} at a time", client.url, options.requests, options.limit);

    let started = Instant::now();
    let requests = (0..options.requests.get()).map(|_| client.get());
    let answers = gather(requests).limit(options.limit.get()).await;
    let answers = answers.map_err(|error| format!("{}: {error}", client.url))?;
    let elapsed = started.elapsed();

    let status = answers.first().map_or(StatusCode::OK, |(status, _)| *status);
    if let Some((other, _)) = answers.iter().find(|(other, _)| *other != status) {
        return Err(format!("one answer has status {status}, another {other}").into());
    }
    let bytes: usize = answers.iter().map(|(_, body)| body.len()).sum();
    say!("{} answers with status {}, {bytes} bytes in {elapsed:.1?}", answers.len(), status.as_str());
    say!("handshakes: {} in full, {} resumed", client.full.get(), client.resumed.get());
    if options.other.is_none() {
        // Nobody who signed it is trusted: there must be no answer.
        match Client::new(client.url, RootCertStore::empty())?.get().await {
            Ok(_) => return Err("a client that trusts nobody got an answer".into()),
            Err(error) => say!("without the server's certificate: {error}"),
        }
    }
    Ok(())
}

/// Fetches one URL over and over.
struct Client {
    url: Uri,
    connector: TlsConnector,
    /// How many handshakes there were from the beginning, and how many went on with the session of
    /// another one.
    full: Cell<usize>,
    resumed: Cell<usize>,
}

impl Client {
    fn new(url: Uri, roots: RootCertStore) -> Result<Client, Box<dyn Error>> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Client { url, connector, full: Cell::new(0), resumed: Cell::new(0) })
    }

    /// One request, over a connection of its own. Dropping it closes that.
    async fn get(&self) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
        let answer = timeout(PATIENCE, self.exchange()).await;
        answer.map_err(|_| format!("no whole answer within {PATIENCE:?}"))?
    }

    async fn exchange(&self) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
        let host = self.url.host().unwrap_or_default();
        let stream = TcpStream::connect((host, self.url.port_u16().unwrap_or(443))).await?;
        stream.set_nodelay(true)?;
        // An address of IPv6 stands in brackets in a URL.
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let stream = self.connector.connect(name, stream).await.map_err(without_layers)?;
        let handshakes = match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Resumed) => &self.resumed,
            _ => &self.full,
        };
        handshakes.set(handshakes.get() + 1);

        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = spawn(connection); // it is closed when this is dropped
        let authority = self.url.authority().map_or(host, |authority| authority.as_str());
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path).header("host", authority).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// The error of rustls in one of input and output.
fn without_layers(error: io::Error) -> Box<dyn Error> {
    match error.into_inner() {
        Some(inner) => inner,
        None => "the connection was closed".into(),
    }
}
