//! Uses every operation of `wasi:sockets`, of which a guest may use none, and tells what worked.

use toolcell_guest::{package, tool};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package test:sockets;
            world sockets {
                import wasi:sockets/instance-network@0.2.12;
                import wasi:sockets/ip-name-lookup@0.2.12;
                import wasi:sockets/tcp-create-socket@0.2.12;
                import wasi:sockets/udp-create-socket@0.2.12;
            }
        ",
        world: "test:sockets/sockets",
        type_section_suffix: "-sockets",
        generate_all,
    });
}

use bindings::wasi::sockets::{
    instance_network::instance_network,
    ip_name_lookup::resolve_addresses,
    network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
    },
    tcp::TcpSocket,
    tcp_create_socket::create_tcp_socket,
    udp::OutgoingDatagram,
    udp_create_socket::create_udp_socket,
};

package! { name = "datagrams", tools = [datagrams] }

/// Opens, binds, connects, listens, sends and looks up, and tells what worked, one line each.
#[tool]
fn datagrams(
    /// A port of the host's own machine where somebody listens.
    port: u16,
    /// Names to look up.
    names: Vec<String>,
) -> String {
    let mut told = Vec::new();
    let network = instance_network();
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        tcp(&mut told, &network, family, port);
        udp(&mut told, &network, family, port);
    }
    for name in names {
        match look_up(&network, &name) {
            Ok(found) => told.push(format!("looked up {name}: {found}")),
            Err(ErrorCode::PermanentResolverFailure | ErrorCode::AccessDenied) => {}
            Err(code) => told.push(format!("looking up {name} ended with {code:?}")),
        }
    }
    told.join("\n")
}

fn loopback(family: IpAddressFamily, port: u16) -> IpSocketAddress {
    match family {
        IpAddressFamily::Ipv4 => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port,
            address: (127, 0, 0, 1),
        }),
        IpAddressFamily::Ipv6 => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port,
            flow_info: 0,
            address: (0, 0, 0, 0, 0, 0, 0, 1),
            scope_id: 0,
        }),
    }
}

/// Tells what an operation came to, unless it was refused.
fn tell<T>(told: &mut Vec<String>, what: &str, result: Result<T, ErrorCode>) -> Option<T> {
    match result {
        Ok(it) => {
            told.push(format!("{what} worked"));
            Some(it)
        }
        Err(ErrorCode::AccessDenied) => None,
        Err(code) => {
            told.push(format!("{what} ended with {code:?}"));
            None
        }
    }
}

/// Asks again until there is an answer.
fn wait<T>(socket: &TcpSocket, ask: impl Fn() -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
    loop {
        match ask() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            other => return other,
        }
    }
}

fn tcp(told: &mut Vec<String>, network: &Network, family: IpAddressFamily, port: u16) {
    let create = |told: &mut Vec<String>| {
        tell(
            told,
            &format!("creating {family:?} TCP"),
            create_tcp_socket(family),
        )
    };
    if let Some(socket) = create(told) {
        let connected = socket
            .start_connect(network, loopback(family, port))
            .and_then(|()| wait(&socket, || socket.finish_connect()));
        if let Some((_input, output)) = tell(told, &format!("connecting {family:?}"), connected) {
            let sent = output.blocking_write_and_flush(b"out of the cell");
            told.push(format!("sending {family:?}: {sent:?}"));
        }
    }
    if let Some(socket) = create(told) {
        let bound = socket
            .start_bind(network, loopback(family, 0))
            .and_then(|()| wait(&socket, || socket.finish_bind()));
        if tell(told, &format!("binding {family:?} TCP"), bound).is_some() {
            let listening = socket
                .start_listen()
                .and_then(|()| wait(&socket, || socket.finish_listen()));
            tell(told, &format!("listening {family:?}"), listening);
        }
    }
}

fn udp(told: &mut Vec<String>, network: &Network, family: IpAddressFamily, port: u16) {
    let created = create_udp_socket(family);
    let Some(socket) = tell(told, &format!("creating {family:?} UDP"), created) else {
        return;
    };
    let bound = socket
        .start_bind(network, loopback(family, 0))
        .and_then(|()| socket.finish_bind());
    tell(told, &format!("binding {family:?} UDP"), bound);
    let streams = socket.stream(Some(loopback(family, port)));
    if let Some((_incoming, outgoing)) = tell(told, &format!("opening {family:?} UDP"), streams) {
        outgoing.subscribe().block();
        let _ = outgoing.check_send();
        let datagram = OutgoingDatagram {
            data: b"out of the cell".to_vec(),
            remote_address: None,
        };
        tell(
            told,
            &format!("sending {family:?} UDP"),
            outgoing.send(&[datagram]),
        );
    }
}

fn look_up(network: &Network, name: &str) -> Result<String, ErrorCode> {
    let stream = resolve_addresses(network, name)?;
    loop {
        match stream.resolve_next_address() {
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            Err(code) => return Err(code),
            Ok(found) => return Ok(format!("{found:?}")),
        }
    }
}
