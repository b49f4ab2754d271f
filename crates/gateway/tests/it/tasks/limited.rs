//! A call that has become a task is one of the calls of its tool at once until the task is over, or kept no longer.

use base::plan::limit::LimitPlan;
use tokio::time::Duration;

use super::*;
use crate::rates::{globs, limit};

/// A client of one era, a server of either, and one call of a tool at a time.
struct Scene {
    door: Door,
    desk: Desk,
    is_modern: bool,
    tool: &'static str,
    _running: Running,
}

impl Scene {
    async fn new(client: Kind, is_modern: bool) -> Self {
        let persona = if is_modern { modern() } else { legacy() };
        let (mut stand, [(_, desk)]) = stand([("up", persona)]).await;
        stand.plan.limiting.limits =
            vec![LimitPlan { tools: globs("*"), concurrent: Some(1), ..limit("one at a time") }];
        let running = stand.start().await;
        let door = if client.is_modern() { modern_door(&running).await } else { legacy_door(&running).await };
        // At a legacy server a modern client has no say.
        let tool = if client.is_modern() && !is_modern { "must" } else { "t" };
        Self { door, desk, is_modern, tool, _running: running }
    }

    fn call(&self) -> String {
        let wanted = if self.door.kind.is_modern() { "" } else { r#","task":{"ttl":60000}"# };
        format!(r#""name":"{}"{wanted}"#, self.tool)
    }

    /// Begins a task, and gives the client's id of it.
    async fn begin(&mut self) -> String {
        let result = if self.is_modern { created_flat("own") } else { created_core("own") };
        let call = self.call();
        let theirs = ("tools/call", result.as_str());
        let answer = asked(&mut self.door, ("tools/call", &call), &mut self.desk, theirs).await;
        let path: &[&str] =
            if self.door.kind.is_modern() { &["result", "taskId"] } else { &["result", "task", "taskId"] };
        member(&answer, path)
    }

    async fn is_refused(&mut self) -> bool {
        let body = self.door.body("7", "tools/call", &self.call(), "");
        let text = self.door.response(&body).await;
        assert!(text.contains("rate_limited") && text.contains("concurrent"), "{text}");
        true
    }

    /// Asks how the task is.
    async fn look(&mut self, id: &str, status: &str) -> String {
        let more = if status == "completed" { r#","result":{"content":[]}"# } else { "" };
        let result = if self.is_modern { flat("own", status, more) } else { core("own", status) };
        let about = format!(r#""taskId":"{id}""#);
        let body = self.door.body("8", "tasks/get", &about, "");
        let also = status == "completed" && self.door.kind.is_modern() && !self.is_modern;
        let (answer, ()) = tokio::join!(self.door.response(&body), async {
            self.desk.asked("tasks/get").await.result(&result).await;
            if also {
                self.desk.asked("tasks/result").await.result(r#"{"content":[]}"#).await;
            }
        });
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_a_call_of_its_tool_until_it_is_over() {
    for client in [Kind::ModernHttp, Kind::LegacyHttp] {
        for is_modern in [true, false] {
            for status in ["completed", "failed", "cancelled"] {
                // Of one that failed or was cancelled the error is asked for elsewhere.
                if status == "failed" && (client.is_modern(), is_modern) == (true, false) {
                    continue;
                }
                let mut scene = Scene::new(client, is_modern).await;
                let id = scene.begin().await;
                assert!(scene.is_refused().await, "{client:?} {is_modern}");
                let working = scene.look(&id, "working").await;
                assert!(working.contains("\"working\""), "what is asked about it is no call: {working}");
                assert!(scene.is_refused().await);
                scene.look(&id, status).await;
                let other = scene.begin().await;
                assert!(!other.is_empty(), "{client:?} {is_modern} {status}");
                assert!(scene.is_refused().await);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_which_nobody_sees_the_end_is_a_call_for_as_long_as_one_may_be_silent() {
    for client in [Kind::ModernHttp, Kind::LegacyHttp] {
        for is_modern in [true, false] {
            let mut scene = Scene::new(client, is_modern).await;
            scene.begin().await;
            tokio::time::sleep(Duration::from_millis(299_000)).await;
            assert!(scene.is_refused().await, "{client:?} {is_modern}");
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            scene.begin().await;
        }
    }
}

/// `tasks/result` of a legacy client ends with its task; that a server refuses a request says nothing.
#[tokio::test(start_paused = true)]
async fn a_result_is_the_end_and_an_error_is_not() {
    let mut scene = Scene::new(Kind::LegacyHttp, false).await;
    let id = scene.begin().await;
    let about = format!(r#""taskId":"{id}""#);
    let body = scene.door.body("8", "tasks/result", &about, "");
    let (refused, ()) = tokio::join!(scene.door.response(&body), async {
        scene.desk.asked("tasks/result").await.error(-32602, "not like this", None).await;
    });
    assert!(refused.contains("not like this"), "{refused}");
    assert!(scene.is_refused().await);
    let body = scene.door.body("9", "tasks/result", &about, "");
    let (done, ()) = tokio::join!(scene.door.response(&body), async {
        scene.desk.asked("tasks/result").await.result(r#"{"content":[]}"#).await;
    });
    assert!(done.contains("result"), "{done}");
    scene.begin().await;
}
