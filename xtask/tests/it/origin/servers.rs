//! Servers on loopback, on ports that the kernel chooses: git's own daemon and smart HTTP backend, started for each connection, and
//! plain files over HTTP. Each can be told to misbehave.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What goes wrong on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The server closes after that many bytes of its answer.
    ClosesAfter(usize),
    /// The server sends that many bytes and then nothing more, for longer than any test runs.
    HangsAfter(usize),
    /// HTTP: this status instead of an answer.
    Answers(u16),
    /// HTTP: always the whole file.
    NoRanges,
}

/// A server that runs until the test binary ends.
pub struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Server {
    /// `git daemon` over everything below `base`. `fault` says what happens on the nth connection, counted from 0.
    pub fn git(base: PathBuf, fault: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Self {
        Self::start(fault, move |stream, fault| git_daemon(&base, stream, fault))
    }

    /// HTTP over everything below `base`: smart git below `/smart/`, plain files elsewhere.
    pub fn http(base: PathBuf, fault: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        Server { sent, ..Self::start(fault, move |stream, fault| http(&base, stream, fault, &count)) }
    }

    fn start(
        fault: impl Fn(usize) -> Fault + Send + Sync + 'static,
        serve: impl Fn(TcpStream, Fault) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let (serve, fault) = (Arc::new(serve), Arc::new(fault));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, fault) = (serve.clone(), fault(count.fetch_add(1, Ordering::SeqCst)));
                // A client that goes away in the middle is what some tests want.
                std::thread::spawn(move || serve(stream.unwrap(), fault).ok());
            }
        });
        Server { port, connections, sent: Arc::default() }
    }

    /// The address of something on it.
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.port)
    }

    /// How many bytes of files it set out to send.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// An address where nobody listens.
pub fn dead(scheme: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("{scheme}://127.0.0.1:{}/nothing.git", listener.local_addr().unwrap().port())
}

/// Copies until the end or the fault.
fn pump(mut from: impl Read, to: &mut TcpStream, fault: Fault) -> io::Result<()> {
    let mut left = match fault {
        Fault::ClosesAfter(bytes) | Fault::HangsAfter(bytes) => bytes,
        Fault::None | Fault::Answers(_) | Fault::NoRanges => usize::MAX,
    };
    let mut buffer = [0; 4096];
    loop {
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            if let Fault::HangsAfter(_) = fault {
                to.flush()?;
                std::thread::sleep(Duration::from_secs(600));
            }
            return to.shutdown(Shutdown::Both);
        }
        let read = from.read(&mut buffer[..wanted])?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..read])?;
        left -= read;
    }
}

fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Feeds a program what the client sends and the client what the program says.
fn connect(
    mut child: Child,
    mut stream: TcpStream,
    mut body: impl Read + Send + 'static,
    fault: Fault,
) -> io::Result<()> {
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    // Not `io::copy`: it splices, and a splice that waits for the socket keeps the reader of the pipe waiting too.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = body.read(&mut buffer) {
            if input.write_all(&buffer[..read]).and_then(|()| input.flush()).is_err() {
                break;
            }
        }
    });
    let result = pump(output, &mut stream, fault);
    child.kill().ok();
    child.wait()?;
    result
}

fn git_daemon(base: &Path, stream: TcpStream, fault: Fault) -> io::Result<()> {
    let base_path = format!("--base-path={}", base.display());
    let child = git(&["daemon", "--inetd", "--export-all", &base_path]).spawn()?;
    let body = stream.try_clone()?;
    connect(child, stream, body, fault)
}

fn http(base: &Path, mut stream: TcpStream, fault: Fault, sent: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let request = head.first().cloned().unwrap_or_default();
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        let found = head.iter().find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    if let Fault::Answers(status) = fault {
        return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if let Some(path) = path.strip_prefix("/smart") {
        if header("Expect") == "100-continue" {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = header("Content-Length").parse().unwrap_or(0);
        let child = git(&["http-backend"])
            .envs([("GIT_PROJECT_ROOT", base.to_str().unwrap()), ("GIT_HTTP_EXPORT_ALL", "1"), ("PATH_INFO", path)])
            .envs([("QUERY_STRING", query), ("REQUEST_METHOD", method), ("GIT_PROTOCOL", &header("Git-Protocol"))])
            .envs([("CONTENT_TYPE", header("Content-Type")), ("CONTENT_LENGTH", header("Content-Length"))])
            .envs([("HTTP_CONTENT_ENCODING", header("Content-Encoding"))])
            .spawn()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")?;
        return connect(child, stream, reader.take(length), fault);
    }
    let path = decoded(path);
    let Ok(bytes) = std::fs::read(base.join(path.trim_start_matches('/'))) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let from = header("Range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
    let (status, from) = match (from, fault) {
        (Some(from), fault) if fault != Fault::NoRanges && from < bytes.len() => {
            (format!("206 Partial\r\nContent-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len()), from)
        }
        _ => ("200 OK".to_owned(), 0),
    };
    let rest = &bytes[from..];
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    sent.fetch_add(rest.len(), Ordering::SeqCst);
    pump(rest, &mut stream, fault)
}

/// Without `%2b` and the like, which apt writes.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        text.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        text.push_str(rest);
    }
    text
}
