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

/// Each thread of the gateway has a runtime of its own. A connection that one of them made outlives it.
#[test]
fn a_connection_outlives_the_thread_that_asked_for_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Postgres::start();
    let (home, store) = (runtime(), std::sync::OnceLock::new());
    home.block_on(async {
        store.set(open(&server).await).unwrap();
        let store = store.get().unwrap();
        std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| {
                runtime().block_on(async {
                    let limit = SETTINGS.limit;
                    // Home is not running meanwhile, so only the time limit ends it.
                    tokio::time::timeout(limit * 2, store.ping()).await.unwrap().unwrap_err()
                })
            });
            assert!(elsewhere.join().unwrap().is_away());
        });
    });
    let (asked, answered) = tokio::sync::oneshot::channel();
    std::thread::scope(|scope| {
        let store = store.get().unwrap();
        scope.spawn(move || {
            let answers = runtime().block_on(join_all((0..8).map(|_| store.ping())));
            asked.send(answers).unwrap();
        });
        for answer in home.block_on(answered).unwrap() {
            answer.unwrap();
        }
    });
    // That thread has ended, and all of its connections are still good.
    for answer in home.block_on(join_all((0..8).map(|_| store.get().unwrap().ping()))) {
        answer.unwrap();
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
