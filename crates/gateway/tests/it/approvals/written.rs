//! What becomes of an approval is written down before anybody hears of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base::detail::{Examine, Keeps};
use base::sink::{Accept, CallFacts, Event, Untaken};

use super::approver::{SAME, asked, form, key, page};
use super::*;

#[derive(Debug, Default)]
struct Book {
    is_full: AtomicBool,
    /// Whether it takes nothing, and says so before.
    refuses: AtomicBool,
    outcomes: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Nothing;

impl Examine for Nothing {
    fn digest(&self, _: &[u8]) -> [u8; 32] {
        [0; 32]
    }

    fn keeps(&self, _: &str, _: &str) -> Keeps {
        Keeps::default()
    }

    fn most_kept(&self) -> usize {
        0
    }
}

impl Sink for Book {
    fn accept(&self, _: &CallFacts) -> Accept {
        Accept::Now
    }

    fn must_note(&self, event: Event) -> Accept {
        let outcome = event.members.iter().find(|(name, _)| *name == "outcome").unwrap().1.clone();
        if event.kind != "approval" {
            return Accept::Now;
        }
        if self.is_full.load(Ordering::Relaxed) {
            return Accept::Later(Box::pin(async { Err(Untaken) }));
        }
        self.outcomes.lock().unwrap().push(outcome);
        Accept::Now
    }

    fn guards(&self) -> bool {
        true
    }

    fn refuse(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    fn examines(&self) -> Option<Arc<dyn Examine>> {
        Some(Arc::new(Nothing))
    }
}

#[tokio::test]
async fn nobody_is_asked_and_nothing_is_sent_that_cannot_be_written_down() {
    let book = Arc::new(Book::default());
    let asker = Arc::new(Asker::of(&[]));
    let mut scene = Scene::written(persona(true), asker, &[], Some(Arc::clone(&book) as _)).await;
    let desk = scene.desk.take().unwrap();
    scene.server.answer_all(desk, |asked| async move { asked.result(DONE).await });
    book.is_full.store(true, Ordering::Relaxed);
    let refused = scene.call(&scene.one, "ann", FORM, PAY).await;
    assert_eq!(reason(&refused), "audit_unavailable");
    assert!(scene.store.approvals(false).await.unwrap().is_empty(), "the question is open");
    book.is_full.store(false, Ordering::Relaxed);
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    assert!(is_asked(&told), "{told}");
    book.is_full.store(true, Ordering::Relaxed);
    let refused = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert_eq!(reason(&refused), "audit_unavailable");
    assert_eq!(scene.calls(), 0, "it was sent");
    book.is_full.store(false, Ordering::Relaxed);
    let told = scene.call(&scene.one, "ann", FORM, PAY).await;
    let done = scene.call(&scene.one, "ann", FORM, &retry(PAY, &told, YES)).await;
    assert!(is_done(&done), "{done}");
    assert_eq!(*book.outcomes.lock().unwrap(), ["asked", "asked", "approved", "used"]);
}

#[tokio::test]
async fn nothing_is_approved_on_a_page_that_cannot_be_written_down() {
    let book = Arc::new(Book::default());
    let asker = Arc::new(Asker::of(&bob()));
    let scene = Scene::written(persona(true), asker, &[], Some(Arc::clone(&book) as _)).await;
    let id = asked(&scene).await;
    let shown = page(&scene.one, (&id, Some(&key(&scene, "bob"))), &SAME).await;
    book.refuses.store(true, Ordering::Relaxed);
    let said = page(&scene.one, (&id, Some(&form(&shown.text, "approve"))), &SAME).await;
    assert_ne!(said.status, 200, "{}", said.text);
    assert_eq!(scene.standing(&id).await, Standing::Pending, "it is approved, and no record says so");
    book.refuses.store(false, Ordering::Relaxed);
    let said = page(&scene.one, (&id, Some(&form(&shown.text, "approve"))), &SAME).await;
    assert_eq!(said.status, 200, "{}", said.text);
    assert_eq!(*book.outcomes.lock().unwrap(), ["asked", "approved"]);
}
