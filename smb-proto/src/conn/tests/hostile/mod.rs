//! One test for each thing that a hostile server, or whoever stands between, may try.
//!
//! What they have in common: the error says whose fault it is, everybody who waits is told, and nothing waits,
//! panics or grows for ever.

mod frames;
mod login;
mod negotiation;
mod replies;

use super::pair::{Pair, SESSION_ID, Script, Server, TREE_ID, create_response, fixed_key};
use super::*;

/// A reply as the session protects it.
fn protected(server: &mut Server, encrypt: bool, message: Vec<u8>) -> Vec<u8> {
    if encrypt { server.encrypt(message) } else { server.sign(message) }
}

fn read_response(data: &'static [u8]) -> Response {
    Response::Read(ReadResponse { data: Bytes::from_static(data) })
}

/// That the connection ended through the server's fault, and that everybody was told.
fn assert_blamed(pair: &mut Pair, what: &str) {
    assert!(matches!(pair.ended(), ConnectionError::PeerMisbehaved(_)), "{what}: {:?}", pair.ended());
    let events = pair.events();
    assert!(matches!(events.last(), Some(Event::Closed(_))), "{what}: {events:?}");
    let activity = pair.client.activity();
    assert_eq!((activity.waiting, activity.in_flight, activity.unsent), (0, 0, 0), "{what}");
    assert_eq!(pair.client.poll_timeout(), None, "{what}");
}

/// That the connection still does its work.
fn assert_works(pair: &mut Pair) {
    let token = pair.send(read(9));
    pair.settle();
    let events = pair.events();
    let answered =
        |event: &Event| matches!(event, Event::Done { token: done, result: Ok(_) } if *done == token);
    assert!(events.iter().any(answered), "{events:?}");
}
