//! Opens sockets, which no guest may.

use std::{
    io,
    net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
};

use toolcell_guest::{package, tool};

package! { name = "sockets", tools = [sockets] }

/// Connects, listens, sends and looks up a name, and tells how each ended.
#[tool]
fn sockets(
    /// A port of the host's own machine where somebody listens.
    port: u16,
) -> String {
    let ended = [
        ("connect", TcpStream::connect(("127.0.0.1", port)).map(drop)),
        ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("send", send(port)),
        ("resolve", "localhost:80".to_socket_addrs().map(drop)),
    ];
    let told = ended.map(|(what, result)| match result {
        Ok(()) => format!("{what}: ok"),
        Err(error) => format!("{what}: {:?}", error.kind()),
    });
    told.join(", ")
}

fn send(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"x", ("127.0.0.1", port)).map(drop)
}
