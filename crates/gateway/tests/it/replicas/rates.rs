//! What replicas allow together.

use base::plan::limit::{LimitPlan, LimitingPlan, Per, Rate};
use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn replicas_allow_together_what_one_would() {
    let mut fleet = Fleet::new(Persona::modern()).await;
    let desk = fleet.desk();
    fleet.server.answer_all(desk, |asked| async move { asked.result(r#"{"content":[]}"#).await });
    // More than passes in a test would take hours.
    let rate = Some(Rate { times: 12, within: Duration::from_secs(24 * 3600), burst: 12 });
    let limit = LimitPlan {
        name: "tools".to_owned(),
        per: vec![Per::Tool],
        routes: None,
        servers: None,
        tools: None,
        rate,
        concurrent: None,
        result_bytes: None,
    };
    let limiting = LimitingPlan { limits: vec![limit], loops: None };
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(fleet.start_with(|stand| stand.plan.limiting = limiting.clone()).await);
    }
    let call = |number: usize| {
        let client = replicas[number % 3].client();
        async move { ask::modern(&client, "tools/call", r#""name":"t""#).await.status }
    };
    let statuses = join_all((0..40).map(call)).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 12, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 28, "{statuses:?}");
    assert_eq!(fleet.server.seen_of("tools/call").len(), 12);
}
