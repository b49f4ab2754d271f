//! Questions whose time is over: it is said once of each, by whoever notices.

use super::legacy::{Session, last};
use super::*;

fn lasting(lasts: Duration) -> Arc<Asker> {
    Arc::new(Asker { lasts, ..Asker::of(&bob()) })
}

/// Those of which nobody has said yet that their time is over.
async fn unsaid(scene: &Scene) -> Vec<String> {
    let over = scene.store.expire_approvals(None, 100).await.unwrap();
    over.into_iter().map(|one| one.question.id).collect()
}

#[tokio::test]
async fn who_asks_anew_says_that_the_time_of_the_last_question_is_over() {
    let scene = Scene::asking(persona(true), lasting(Duration::from_millis(1)), &[]).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let refused = scene.call(&scene.one, "ann", FORM, PAY).await;
        // It may be over before its caller is told.
        assert!(["approval_needed", "overloaded"].contains(&reason(&refused).as_str()), "{refused}");
        all = testkit::soon("it is over", async {
            loop {
                let all = scene.store.approvals(true).await.unwrap();
                if all.iter().all(|one| one.standing == Standing::Expired) {
                    break all;
                }
            }
        })
        .await;
    }
    assert_eq!(all.len(), 3, "each is remembered by its own name");
    let unsaid = unsaid(&scene).await;
    assert!(matches!(&unsaid[..], [last] if *last == all[0].question.id || all[0].made_at == all[1].made_at));
}

#[tokio::test]
async fn a_call_that_waits_says_that_the_time_is_over() {
    let scene = Scene::asking(persona(true), lasting(Duration::from_millis(700)), &[]).await;
    let session = Session::open(&scene, &scene.one, "ann", PAGE).await;
    let mut reply = session.pay(&scene.one).await;
    let question = reply.event().await.unwrap();
    session.answer(&scene.one, &question, r#"{"action":"accept"}"#).await;
    let told = last(&mut reply).await;
    assert!(told.contains("the approval of this call is expired: make it again"), "{told}");
    assert!(unsaid(&scene).await.is_empty());
    assert_eq!(scene.calls(), 0);
}
