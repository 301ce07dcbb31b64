//! Somebody between the client and the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sharefs_tests::{Attack, Content, Message, Relay, Samba, Way};
use smb_client::{Client, ConnectOptions, Error, OpenOptions};
use tokio::time::timeout;

use crate::help::{connect, get};

/// Long enough for the slowest machine; only what hangs for ever takes it.
const FOR_EVER: Duration = Duration::from_secs(60);

fn through(relay: &Relay, samba: &Samba) -> ConnectOptions {
    samba.options().host(relay.address().to_string()).port(relay.port())
}

/// What a user comes to read.
fn says(attack: Attack) -> &'static str {
    match attack {
        // The login's last answer proves that both saw the same negotiation.
        Attack::OlderDialectAnswered | Attack::WeakerCipher | Attack::WeakerSigning | Attack::Forged => {
            "a signature or authentication tag is wrong"
        }
        Attack::OlderDialect => "tampered with on its way",
        Attack::Unsigned | Attack::Answered => "an answer that must be signed was not",
        Attack::Recorded => "mechListMIC is wrong",
        Attack::Replayed => "which was not asked",
    }
}

async fn use_it(options: &ConnectOptions) -> Result<Client, Error> {
    let client = Client::connect(options).await?;
    let share = client.share("data").await?;
    share.metadata("").await?;
    share.metadata("").await?;
    Ok(client)
}

#[tokio::test]
async fn is_refused_at_the_first_connection() {
    let samba = Samba::start();
    for attack in Attack::ALL {
        let relay = Relay::start(samba.socket()).await;
        let options = through(&relay, &samba);
        relay.meddle(Some(attack.meddler()));
        if attack == Attack::Recorded {
            use_it(&options).await.expect("what is to be recorded");
        }
        let error = timeout(FOR_EVER, use_it(&options)).await.expect("no hanging").expect_err("refused");
        assert!(error.to_string().contains(says(attack)), "{attack:?}: {error}");
        relay.meddle(None);
        use_it(&options).await.unwrap_or_else(|error| panic!("{attack:?} is over: {error}"));
    }
}

#[tokio::test]
async fn is_refused_where_a_session_is_to_be_succeeded() {
    let samba = Samba::start();
    for attack in Attack::ALL {
        let relay = Relay::start(samba.socket()).await;
        let options = through(&relay, &samba);
        if attack == Attack::Recorded {
            relay.meddle(Some(attack.meddler()));
        }
        let client = use_it(&options).await.expect("the session before");
        if attack != Attack::Recorded {
            relay.meddle(Some(attack.meddler()));
        }
        let options = options.resuming(client.resume());
        relay.cut();
        let error = timeout(FOR_EVER, use_it(&options)).await.expect("no hanging").expect_err("refused");
        // An older dialect than before is refused before the server is asked what it heard.
        let says = if attack == Attack::OlderDialect { "less protection than before" } else { says(attack) };
        assert!(error.to_string().contains(says), "{attack:?}: {error}");
        relay.meddle(None);
        use_it(&options).await.unwrap_or_else(|error| panic!("{attack:?} is over: {error}"));
    }
}

#[tokio::test]
async fn is_refused_in_a_session() {
    let samba = Samba::start();
    for encrypt in [false, true] {
        for attack in [Attack::Unsigned, Attack::Forged, Attack::Replayed, Attack::Answered] {
            if encrypt && attack != Attack::Replayed {
                // There is nothing of these to be seen.
                continue;
            }
            let relay = Relay::start(samba.socket()).await;
            let client = use_it(&through(&relay, &samba).encrypt(encrypt)).await.expect("a session");
            let share = client.share("data").await.expect("the share");
            relay.meddle(Some(attack.meddler()));
            let asked = async {
                share.metadata("").await?;
                share.metadata("").await
            };
            let error = timeout(FOR_EVER, asked).await.expect("no hanging").expect_err("refused");
            assert!(error.to_string().contains(says(attack)), "{attack:?}: {error}");
            assert!(error.is_connection(), "{error:?}");
        }
    }
}

/// One connection's answers given on the other, for a request of the same number.
#[tokio::test]
async fn sessions_cannot_be_swapped() {
    let samba = Samba::start();
    for encrypt in [false, true] {
        let relay = Relay::start(samba.socket()).await;
        let options = through(&relay, &samba).encrypt(encrypt);
        let mine = use_it(&options).await.expect("a session").share("data").await.expect("the share");
        let theirs = use_it(&options).await.expect("a session").share("data").await.expect("the share");
        let heard = Arc::new(Mutex::new(None));
        relay.meddle(Some(Box::new(move |message: Message| {
            let mut heard = heard.lock().expect("no panic");
            match (message.way, message.connection) {
                (Way::ToClient, 1) => {
                    *heard = Some(message.bytes.clone());
                    vec![message.bytes]
                }
                (Way::ToClient, 0) => vec![heard.take().unwrap_or(message.bytes)],
                _ => vec![message.bytes],
            }
        })));
        theirs.metadata("").await.expect("the other session is let alone");
        let error = timeout(FOR_EVER, mine.metadata("")).await.expect("no hanging").expect_err("refused");
        let says =
            if encrypt { "encrypted with a key that exists" } else { "in the name of another session" };
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// What the client says, said otherwise or twice, is the server's to refuse: nothing of it may be done.
#[tokio::test]
async fn requests_are_not_done_twice() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    let share =
        use_it(&through(&relay, &samba)).await.expect("a session").share("data").await.expect("the share");
    let file = share.open("log", &OpenOptions::write()).await.expect("a file");
    relay.meddle(Some(Box::new(|message: Message| match message.way {
        Way::ToServer => vec![message.bytes.clone(), message.bytes],
        Way::ToClient => vec![message.bytes],
    })));
    // The first is done, or the connection ends.
    let _ = timeout(FOR_EVER, file.write_at(0, Content::new(1).bytes(10))).await.expect("no hanging");
    relay.meddle(None);
    drop((file, share));
    let share = connect(&samba.options()).await.share("data").await.expect("the share");
    assert!(get(&share, "log").await.len() <= 10);
}
