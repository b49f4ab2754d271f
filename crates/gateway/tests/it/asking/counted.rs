//! What is asked in mid-call makes no new call of it, however often its client or we send it.

use std::time::Duration;

use base::plan::limit::{LimitPlan, LimitingPlan, LoopAction, LoopPlan, Per, Rate};
use testkit::json;
use testkit::server::Persona;

use super::{Asks, FORM, ROOTS, SAMPLE, Scene, carry};
use crate::doors::Kind;
use crate::stand::{Over, Stand};

const DONE: &str = r#"{"content":[],"n":1.0}"#;

/// So many calls in an hour, one at a time, counted in every way that there is.
fn limited(stand: &mut Stand, calls: u32) {
    let rate = Some(Rate { times: calls, within: Duration::from_secs(3600), burst: calls });
    let limit = |name: &str, per: &[Per]| LimitPlan {
        name: name.to_owned(),
        per: per.to_vec(),
        routes: None,
        servers: None,
        tools: None,
        rate,
        concurrent: Some(1),
        result_bytes: None,
    };
    let limits = vec![limit("callers", &[Per::Principal]), limit("tools", &[Per::Tool])];
    let loops = LoopPlan { calls, within: Duration::from_secs(3600), action: LoopAction::Refuse };
    stand.plan.limiting = LimitingPlan { limits, loops: Some(loops) };
}

/// A call that a legacy server leaves open is one, and goes on with each retry.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_left_open_counts_once() {
    for asks in Asks::ALL {
        for kind in Kind::ALL {
            let mut scene = Scene::legacy_with(asks, |stand| limited(stand, 1)).await;
            let call = carry(scene.door(kind).await);
            let mut serving = scene.call(asks).await;
            for (n, what) in [FORM, SAMPLE, ROOTS].into_iter().enumerate() {
                serving.ask(&format!("\"ask-{n}\""), what).await;
                scene.answer().await;
            }
            serving.end(DONE).await;
            let (mut door, heard) = call.await.unwrap();
            assert_eq!(json::at(&heard.response, &["result", "n"]), Some("1.0"), "{asks:?} {kind:?}");
            let another = door.body("9", "tools/call", super::TOOL, "");
            let refused = door.response(&another).await;
            let reason = json::at(&refused, &["error", "data", "reason"]);
            assert_eq!(reason, Some("\"rate_limited\""), "{asks:?} {kind:?}: {refused}");
        }
    }
}

/// Only its server can tell a modern client's retry from a new call; what we send again for a legacy client counts once.
#[tokio::test(start_paused = true)]
async fn a_retry_to_a_modern_server_is_a_call_unless_it_is_ours() {
    for (kind, calls, passes) in [
        (Kind::LegacyHttp, 1, true),
        (Kind::LegacyStdio, 1, true),
        (Kind::ModernHttp, 2, true),
        (Kind::ModernStdio, 1, false),
    ] {
        let mut scene = Scene::new(Over::Http, Persona::modern(), |stand| limited(stand, calls)).await;
        let call = carry(scene.door(kind).await);
        let asked = scene.desk.asked("tools/call").await;
        let request = format!(r#"{{"method":"{}"{}}}"#, FORM.0, FORM.params());
        let input = format!(
            r#"{{"resultType":"input_required","inputRequests":{{"k":{request}}},"requestState":"s"}}"#
        );
        asked.result(&input).await;
        if passes {
            scene.desk.asked("tools/call").await.result(r#"{"resultType":"complete","n":1.0}"#).await;
        }
        let (_, heard) = call.await.unwrap();
        let path: [&str; 2] = if passes { ["result", "n"] } else { ["error", "code"] };
        let expected = if passes { "1.0" } else { "-31430" };
        assert_eq!(json::at(&heard.response, &path), Some(expected), "{kind:?} {}", heard.response);
    }
}
