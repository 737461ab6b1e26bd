//! An HTTP front that takes each request whole: it passes it on, changed or not, or answers itself. One request for each
//! connection, and one request at a time.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names and values, as sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// Takes a header away.
    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|it| *it > 0).map(|_| line.trim_end().to_owned())
        };
        let first = line()?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut request = Self { method, target, headers, body: Vec::new() };
        if let Ok(length) = request.header("content-length").parse::<u64>() {
            reader.take(length).read_to_end(&mut request.body).ok()?;
            if request.body.len() as u64 != length {
                return None;
            }
        }
        assert!(
            request.header("transfer-encoding").is_empty(),
            "no client of ours sends chunks: {request:?}"
        );
        Some(request)
    }

    /// Sends it to a server of this host, and waits for the answer's end.
    pub fn send(&self, port: u16) {
        let mut server = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        server.write_all(&self.render()).expect("it takes it");
        std::io::copy(&mut server, &mut std::io::sink()).expect("it answers");
    }

    fn render(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let kept = self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("connection"));
        for (name, value) in kept {
            write!(head, "{name}: {value}\r\n").expect("a text takes all");
        }
        head.push_str("Connection: close\r\n\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// A whole answer. To HEAD the body's length is told and the body is not sent.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        write!(text, "Content-Length: {}\r\n", body.len()).expect("a text takes all");
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a text takes all");
    }
    format!("{text}\r\n{body}")
}

/// What a front does with a request: some answer, or none where it is passed on.
type Conduct = Box<dyn FnMut(&mut Request) -> Option<String> + Send>;

/// A front, by itself or before a server.
pub struct Front {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Front {
    /// Before a server of this host.
    pub fn before(
        upstream: u16,
        conduct: impl FnMut(&mut Request) -> Option<String> + Send + 'static,
    ) -> Self {
        Self::new(Some(upstream), Box::new(conduct))
    }

    /// By itself: it answers everything.
    pub fn alone(mut conduct: impl FnMut(&Request) -> String + Send + 'static) -> Self {
        Self::new(None, Box::new(move |request| Some(conduct(request))))
    }

    fn new(upstream: Option<u16>, conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (conduct, shared) = (Arc::new(Mutex::new(conduct)), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (conduct, seen) = (Arc::clone(&conduct), Arc::clone(&shared));
                std::thread::spawn(move || serve(&client, upstream, &conduct, &seen));
            }
        });
        Self { port, seen }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Method and target of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().map(|it| format!("{} {}", it.method, it.target)).collect()
    }

    /// All requests so far, as they came.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn serve(
    mut client: &TcpStream,
    upstream: Option<u16>,
    conduct: &Mutex<Conduct>,
    seen: &Mutex<Vec<Request>>,
) {
    let Some(mut request) = Request::read(client) else { return };
    seen.lock().expect("no panic").push(Request { body: Vec::new(), ..request.clone() });
    let mut conduct = conduct.lock().expect("no panic");
    let answer = conduct(&mut request);
    match (answer, upstream) {
        (Some(answer), _) => {
            let _it_may_be_closed = client.write_all(answer.as_bytes());
        }
        (None, Some(upstream)) => {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)) else { return };
            if server.write_all(&request.render()).is_ok() {
                let _it_may_be_closed = std::io::copy(&mut server, &mut client);
            }
        }
        (None, None) => {}
    }
    let _it_may_be_closed = client.shutdown(Shutdown::Both);
}
