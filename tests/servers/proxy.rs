//! A TCP proxy on loopback that does what networks and servers do at bad moments.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What goes wrong, for HTTP requests whose first line contains `line`, as often as `times` says.
#[derive(Debug, Clone)]
pub enum Rule {
    /// The request is passed on and answered, and the answer is lost.
    LoseAnswer {
        /// Part of the request's first line, such as `PUT /box/`.
        line: String,
        /// How often.
        times: u32,
    },
    /// The server never sees it, and this is answered.
    Answer {
        /// Part of the request's first line.
        line: String,
        /// How often; `u32::MAX` for always.
        times: u32,
        /// The whole answer, head and body.
        with: String,
    },
}

/// A proxy in front of a server.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Mutex<Vec<Rule>>,
    /// No connection is taken, and those that are there are cut.
    cut: AtomicBool,
    /// Cuts everything once so many bytes have gone to the server; 0 is never.
    cut_after_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    returned_bytes: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// In front of a port of this host.
    pub fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                if state.cut.load(Ordering::SeqCst) {
                    continue;
                }
                std::thread::spawn(move || state.serve(client, upstream));
            }
        });
        Self { port, state }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a rule.
    pub fn rule(&self, rule: Rule) {
        self.state.rules.lock().expect("no panic").push(rule);
    }

    /// Cuts every connection, now and from now on.
    pub fn cut(&self) {
        self.state.cut_now();
    }

    /// Cuts every connection once so many more bytes have gone to the server.
    pub fn cut_after(&self, bytes: u64) {
        let sent = self.state.sent_bytes.load(Ordering::SeqCst);
        self.state.cut_after_bytes.store(sent + bytes, Ordering::SeqCst);
    }

    /// Connections are taken and passed on again.
    pub fn mend(&self) {
        self.state.cut_after_bytes.store(0, Ordering::SeqCst);
        self.state.cut.store(false, Ordering::SeqCst);
        self.state.rules.lock().expect("no panic").clear();
    }

    /// Bytes that have gone to the server.
    pub fn sent_bytes(&self) -> u64 {
        self.state.sent_bytes.load(Ordering::SeqCst)
    }

    /// Bytes that have come from the server.
    pub fn returned_bytes(&self) -> u64 {
        self.state.returned_bytes.load(Ordering::SeqCst)
    }
}

impl State {
    fn cut_now(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _it_may_be_closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// The rule for a piece of a request, used up once more.
    fn rule_for(&self, piece: &[u8]) -> Option<Rule> {
        let head = String::from_utf8_lossy(&piece[..piece.len().min(4096)]).into_owned();
        let first_line = head.lines().next().unwrap_or_default();
        let mut rules = self.rules.lock().expect("no panic");
        for rule in rules.iter_mut() {
            let (Rule::LoseAnswer { line, times } | Rule::Answer { line, times, .. }) = rule;
            if *times > 0 && first_line.contains("HTTP/") && first_line.contains(line.as_str()) {
                *times -= u32::from(*times != u32::MAX);
                return Some(rule.clone());
            }
        }
        None
    }

    fn serve(self: Arc<Self>, client: TcpStream, upstream: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else { return };
        {
            let mut open = self.open.lock().expect("no panic");
            open.extend(client.try_clone().into_iter().chain(server.try_clone()));
        }
        let lose = Arc::new(AtomicBool::new(false));
        let back = {
            let (state, lose) = (Arc::clone(&self), Arc::clone(&lose));
            let (Ok(mut from), Ok(mut to)) = (server.try_clone(), client.try_clone()) else { return };
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    state.returned_bytes.fetch_add(length as u64, Ordering::SeqCst);
                    if lose.load(Ordering::SeqCst) || to.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                let _it_may_be_closed = to.shutdown(Shutdown::Both);
            })
        };
        let (mut from, mut to) = (client, server);
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            match self.rule_for(&buffer[..length]) {
                Some(Rule::LoseAnswer { .. }) => lose.store(true, Ordering::SeqCst),
                Some(Rule::Answer { with, .. }) => {
                    let _it_may_be_closed = from.write_all(with.as_bytes());
                    break;
                }
                None => {}
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            let sent = self.sent_bytes.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
            let limit = self.cut_after_bytes.load(Ordering::SeqCst);
            if limit > 0 && sent >= limit {
                self.cut_now();
            }
        }
        let _it_may_be_closed = to.shutdown(Shutdown::Write);
        let _it_has_ended = back.join();
        let _it_may_be_closed = from.shutdown(Shutdown::Both);
    }
}
