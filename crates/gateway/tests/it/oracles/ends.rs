//! Clients that go away in mid-call.

use std::time::Duration;

use testkit::server::Persona;
use tokio::time::Instant;

use super::before;
use crate::asking::TOOL;
use crate::doors::{Door, Kind};
use crate::stand::Over;

#[tokio::test(start_paused = true)]
async fn e23_a_modern_client_that_goes_away_cancels_its_call() {
    for streams in [false, true] {
        for (over, persona) in [
            (Over::Http, Persona::modern()),
            (Over::Http, Persona::legacy()),
            (Over::Stdio, Persona::modern()),
            (Over::Stdio, Persona::legacy()),
        ] {
            let says = over == Over::Stdio || persona.era == testkit::server::Era::Legacy;
            let (running, server, mut desk) = before(over, persona).await;
            let mut door = Door::open(Kind::ModernHttp, &running).await;
            let call = door.begin(&door.body("1", "tools/call", TOOL, r#""progressToken":1"#)).await;
            let asked = desk.asked("tools/call").await;
            let id = asked.seen.id().unwrap().to_owned();
            let (mut asked, mut stream) = (Some(asked), None);
            if streams {
                let mut begun = asked.take().unwrap().stream().await;
                begun.progress("1").await;
                stream = Some(begun);
                testkit::idle().await;
            }
            let began = Instant::now();
            drop(call);
            if says {
                let cancelled = server.saw("notifications/cancelled", 1).await;
                assert_eq!(cancelled[0].param("requestId"), Some(id.as_str()), "{over:?}");
            } else if let Some(stream) = &stream {
                stream.gone().await;
            } else if let Some(asked) = &asked {
                asked.gone().await;
            }
            assert!(began.elapsed() < Duration::from_millis(100), "{over:?} {:?}", began.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn e24_a_legacy_client_that_goes_away_does_not_cancel_its_call() {
    for (over, persona) in [
        (Over::Http, Persona::modern()),
        (Over::Http, Persona::legacy()),
        (Over::Stdio, Persona::modern()),
        (Over::Stdio, Persona::legacy()),
    ] {
        let (running, server, mut desk) = before(over, persona).await;
        let mut door = Door::open(Kind::LegacyHttp, &running).await;
        let call = door.begin(&door.body("1", "tools/call", TOOL, "")).await;
        let asked = desk.asked("tools/call").await;
        drop(call);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(!asked.is_gone(), "{over:?}");
        asked.result(r#"{"resultType":"complete"}"#).await;
        testkit::idle().await;
        assert!(server.seen_of("notifications/cancelled").is_empty(), "{over:?}");
    }
}
