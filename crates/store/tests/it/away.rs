//! A PostgreSQL that goes away: what is asked fails at once or within its time, and all recovers by itself.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use store::notices::Heard;
use store::sessions::If;
use store::{Place, Settings, Store, StoreFault};
use testkit::postgres::Postgres;
use testkit::soon;

use crate::notices::{heard, notice};

const HOUR: Duration = Duration::from_secs(3600);
const SETTINGS: Settings = Settings { limit: Duration::from_secs(1), connections: 2 };

async fn open(server: &Postgres) -> Store {
    Store::open(&Place::parse(&server.url(), Path::new("/")).unwrap(), SETTINGS).await.unwrap()
}

/// Asks until it answers.
async fn back(store: &Store) {
    soon("the store is back", async {
        while let Err(fault) = store.ping().await {
            assert!(fault.is_away(), "{fault}");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Stopped in good order and killed: both connections and listener come back, and what was missed is known to be missed.
#[tokio::test]
async fn a_server_that_ends_is_away_until_it_is_back() {
    let mut server = Postgres::start();
    let (ours, theirs) = (open(&server).await, open(&server).await);
    let mut notices = ours.subscribe().await;
    assert_eq!(heard(&mut notices).await, Heard::Missed);
    for end in [Postgres::stop, Postgres::kill] {
        ours.put_fact(("s", "a"), b"x", HOUR, If::Any).await.unwrap();
        end(&mut server);
        let asked = (0..20).map(|_| ours.put_fact(("s", "a"), b"y", HOUR, If::Any));
        for answer in soon("answers", join_all(asked)).await {
            assert!(matches!(answer, Err(StoreFault::Away(_))), "{answer:?}");
        }
        server.go_on();
        back(&ours).await;
        back(&theirs).await;
        assert_eq!(ours.fact(("s", "a")).await.unwrap().unwrap().value, b"x");
        assert_eq!(heard(&mut notices).await, Heard::Missed);
        theirs.publish("t", "after").await.unwrap();
        assert_eq!(heard(&mut notices).await, notice("t", "after"));
    }
}

/// There, and silent: nothing tells but the time.
#[tokio::test]
async fn a_server_that_does_not_answer_is_away_within_the_limit() {
    let mut server = Postgres::start();
    let store = open(&server).await;
    store.ping().await.unwrap();
    server.freeze();
    let asked = (0..8).map(|_| store.ping());
    for answer in soon("answers", join_all(asked)).await {
        assert!(matches!(answer, Err(StoreFault::Away(_))), "{answer:?}");
    }
    server.thaw();
    back(&store).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_says_so() {
    let mut server = Postgres::start();
    let place = |text: &str| Place::parse(text, Path::new("/")).unwrap();
    let url = server.url();
    let other = url.replace("/postgres", "/nonsense");
    let fault = Store::open(&place(&other), SETTINGS).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Refused(why) if why.contains("nonsense")), "{fault}");
    let fault = Store::open(&place(&url.replace("postgres@", "nobody@")), SETTINGS).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Refused(why) if why.contains("nobody")), "{fault}");
    server.stop();
    assert!(matches!(Store::open(&place(&url), SETTINGS).await, Err(StoreFault::Away(_))));
}
