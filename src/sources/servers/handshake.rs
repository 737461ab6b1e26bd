//! Whether a port answers as its server would: a port alone proves nothing.
//!
//! Nothing is asked that needs a login, and nothing is changed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest that a server on this host may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 4096;

/// `SSLRequest` (`PostgreSQL` documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// `{ hello: 1, $db: "admin" }` as an `OP_MSG` (`MongoDB` wire protocol).
const HELLO: [u8; 52] = *b"\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\
    \x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";

/// Whether a server of the kind answers at an address.
pub(super) fn answers_as(kind: &str, address: SocketAddr) -> bool {
    let asked: &[u8] = match kind {
        "postgres" => &SSL_REQUEST,
        // The server speaks first.
        "mysql" => b"",
        "redis" => b"PING\r\n",
        "mongodb" => &HELLO,
        "qdrant" => b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        _ => return false,
    };
    let Some(answer) = exchange(address, asked) else { return false };
    let has = |word: &[u8]| answer.windows(word.len()).any(|it| it == word);
    match kind {
        "postgres" => answer == b"S" || answer == b"N",
        // A greeting of protocol version 10, or an error packet, behind a header of four bytes.
        "mysql" => answer.get(3) == Some(&0) && matches!(answer.get(4), Some(10 | 255)),
        "redis" => [&b"+PONG"[..], b"-NOAUTH", b"-DENIED"].iter().any(|it| answer.starts_with(it)),
        "mongodb" => has(b"maxWireVersion"),
        "qdrant" => has(b"qdrant"),
        _ => false,
    }
}

fn exchange(address: SocketAddr, asked: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(asked).ok()?;
    let mut answer = vec![0; ANSWER_BYTES];
    let length = stream.read(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            stream.write_all(answer).expect("an answer");
            let _ended = stream.read(&mut [0; 64]);
        });
        address
    }

    #[test]
    fn server_is_known_by_its_answer_and_not_by_its_port() {
        assert!(answers_as("redis", answering(b"-NOAUTH Authentication required.\r\n")));
        assert!(answers_as("postgres", answering(b"N")));
        assert!(answers_as("mysql", answering(b"\x4a\0\0\0\x0a5.5.5-10.11.19-MariaDB\0")));
        assert!(!answers_as("postgres", answering(b"HTTP/1.1 400 Bad Request\r\n")));
        assert!(!answers_as("redis", answering(b"SSH-2.0-OpenSSH_9.2\r\n")));
    }
}
