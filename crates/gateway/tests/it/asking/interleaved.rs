//! Whatever happens in whatever order: every ask has one answer, every call one outcome, and nothing reaches another call.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};
use testkit::json;
use testkit::server::{Events, Persona};

use super::{Scene, asked_of, retry};
use crate::doors::{Begun, Door, Kind};
use crate::stand::Over;

/// How many calls there are, each of a client of its own.
const CALLS: usize = 3;

/// What may happen to a call.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Its server asks.
    Ask,
    /// Its server no longer wants the answer to what it asked last.
    Withdraw,
    Progress,
    /// Its server answers it.
    End,
    /// Its client answers all that it knows of.
    Answer,
    /// Its client answers the first of that.
    AnswerOne,
    Cancel,
}

fn event() -> impl Strategy<Value = Event> {
    let all = [
        Event::Ask,
        Event::Ask,
        Event::Withdraw,
        Event::Progress,
        Event::End,
        Event::Answer,
        Event::Answer,
        Event::AnswerOne,
        Event::Cancel,
    ];
    prop::sample::select(all.to_vec())
}

/// What must come of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// One answer.
    Plainly,
    /// A refusal: it could be another client's.
    Ambiguously,
    /// At most one answer: nobody waits for it any more.
    InVain,
}

/// A call: its client, and its server.
struct Call {
    number: usize,
    door: Door,
    request: Option<Begun>,
    requests: usize,
    /// For a modern client: the result that asks for something. For a legacy one: requests, and what they say.
    suspended: Option<String>,
    questions: Vec<(String, String)>,
    responses: Vec<String>,
    progress: usize,
    cancelled: bool,
    stream: Option<Events>,
    upstream_id: String,
    /// What its server has asked, by id.
    asks: Vec<(String, Asked)>,
    said: usize,
}

impl Call {
    async fn begin(number: usize, kind: Kind, scene: &mut Scene) -> Self {
        let mut door = scene.door(kind).await;
        let body = door.body("1", "tools/call", &members(number), r#""progressToken":"p""#);
        let request = Some(door.begin(&body).await);
        let asked = scene.desk.asked("tools/call").await;
        let upstream_id = asked.seen.id().unwrap().to_owned();
        let stream = Some(asked.stream().await);
        Self {
            number,
            door,
            request,
            requests: 1,
            suspended: None,
            questions: Vec::new(),
            responses: Vec::new(),
            progress: 0,
            cancelled: false,
            stream,
            upstream_id,
            asks: Vec::new(),
            said: 0,
        }
    }

    fn is_modern(&self) -> bool {
        self.door.kind.is_modern()
    }

    /// Whether its server works on it still.
    fn is_open(&self) -> bool {
        self.stream.is_some() && !self.cancelled
    }

    async fn happens(&mut self, event: Event, alone: bool) {
        match event {
            Event::Ask if self.is_open() => {
                let text = format!("{}-{}", self.number, self.asks.len());
                let ask = format!(
                    r#"{{"jsonrpc":"2.0","id":"{text}","method":"elicitation/create","params":{{"message":"{text}"}}}}"#
                );
                self.stream.as_mut().unwrap().message(&ask).await;
                self.asks.push((text, if alone { Asked::Plainly } else { Asked::Ambiguously }));
            }
            Event::Withdraw if self.is_open() => {
                let Some((id, asked)) = self.asks.last_mut() else { return };
                if *asked == Asked::Plainly {
                    *asked = Asked::InVain;
                }
                let params = format!(r#"{{"requestId":"{id}"}}"#);
                self.stream.as_mut().unwrap().notify("notifications/cancelled", &params).await;
            }
            Event::Progress if self.is_open() => {
                self.said += 1;
                // The number of the call stands before the point.
                let progress = format!("{}.{:03}", self.number, self.said);
                let params = format!(r#"{{"progressToken":{},"progress":{progress}}}"#, self.upstream_id);
                self.stream.as_mut().unwrap().notify("notifications/progress", &params).await;
            }
            Event::End if self.is_open() => {
                let result = format!(r#"{{"number":{}}}"#, self.number);
                self.stream.take().unwrap().result(&result).await;
            }
            Event::Answer => self.answer(usize::MAX).await,
            Event::AnswerOne => self.answer(1).await,
            Event::Cancel if self.request.is_some() && self.stream.is_some() && !self.cancelled => {
                self.cancelled = true;
                if self.is_modern() {
                    self.request = None;
                } else {
                    let params = r#"{"requestId":1}"#;
                    let method = "notifications/cancelled";
                    let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
                    self.door.say(&text).await;
                    self.questions.clear();
                }
            }
            _ => {}
        }
    }

    /// Its client answers the first of what it was asked.
    async fn answer(&mut self, most: usize) {
        if let Some(response) = self.suspended.take() {
            let asked = asked_of(&response).unwrap();
            let answers: Vec<_> = asked
                .iter()
                .take(most)
                .map(|(key, _, params)| {
                    format!(r#""{key}":{}"#, answer(&message(params.as_deref().unwrap())))
                })
                .collect();
            self.requests += 1;
            let members = retry(&members(self.number), &response, &answers.join(","));
            let body =
                self.door.body(&self.requests.to_string(), "tools/call", &members, r#""progressToken":"p""#);
            self.request = Some(self.door.begin(&body).await);
        }
        let most = most.min(self.questions.len());
        for (id, text) in self.questions.drain(..most).collect::<Vec<_>>() {
            self.door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, answer(&text))).await;
        }
    }

    /// Its client reads what has come.
    fn read(&mut self) {
        while let Some(message) = self.request.as_mut().and_then(Door::next_now) {
            let method = json::at(&message, &["method"]).map(json::plain);
            let own = |text: &str| text.split(['-', '.']).next() == Some(self.number.to_string().as_str());
            match method {
                Some("notifications/progress") => {
                    let progress = json::at(&message, &["params", "progress"]).unwrap();
                    assert!(own(progress), "{message}");
                    self.progress += 1;
                }
                Some("notifications/cancelled") => {
                    let id = json::at(&message, &["params", "requestId"]).unwrap();
                    self.questions.retain(|(open, _)| open != id);
                }
                Some(_) => {
                    let text = self::message(json::at(&message, &["params"]).unwrap());
                    assert!(own(&text) && !self.is_modern(), "{message}");
                    self.questions.push((json::at(&message, &["id"]).unwrap().to_owned(), text));
                }
                None => {
                    let id = self.requests.to_string();
                    assert_eq!(json::at(&message, &["id"]), Some(id.as_str()), "{message}");
                    self.request = None;
                    match asked_of(&message) {
                        Some(asked) => {
                            let texts = asked.iter().map(|(.., params)| params.as_deref().map(self::message));
                            assert!(texts.flatten().all(|text| own(&text)), "{message}");
                            self.suspended = Some(message);
                        }
                        None => self.responses.push(message),
                    }
                }
            }
        }
    }
}

fn members(number: usize) -> String {
    format!(r#""name":"t","arguments":{{"number":{number}}}"#)
}

fn message(params: &str) -> String {
    json::plain(json::at(params, &["message"]).unwrap()).to_owned()
}

fn answer(text: &str) -> String {
    format!(r#"{{"action":"accept","content":{{"to":"{text}"}}}}"#)
}

/// Lets all of it happen, and then all come to its end.
async fn run(over: Over, kinds: &[Kind], events: &[(usize, Event)]) {
    let mut scene = Scene::new(over, Persona::legacy(), |_| {}).await;
    let mut calls = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        calls.push(Call::begin(number, *kind, &mut scene).await);
    }
    let events = events.iter().map(|(call, event)| (call % calls.len(), *event));
    for (at, event) in events.collect::<Vec<_>>() {
        // On its own stream a request says whose it is; in lines only if there is no other it could belong to.
        let alone = over == Over::Http || calls.iter().filter(|call| call.is_open()).count() == 1;
        calls[at].happens(event, alone).await;
        testkit::idle().await;
        calls.iter_mut().for_each(Call::read);
    }
    for call in &mut calls {
        call.happens(Event::End, false).await;
    }
    for _ in 0..=events_at_most(&calls) {
        // Longer than what is asked at once is gathered.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        for call in &mut calls {
            call.read();
            call.happens(Event::Answer, false).await;
        }
    }
    judge(&scene, &calls);
}

fn events_at_most(calls: &[Call]) -> usize {
    calls.iter().map(|call| call.asks.len() + 2).max().unwrap_or_default()
}

fn judge(scene: &Scene, calls: &[Call]) {
    let mut answers = BTreeMap::<String, Vec<String>>::new();
    for seen in scene.server.seen_of("response") {
        answers.entry(json::plain(seen.id().unwrap()).to_owned()).or_default().push(seen.text().to_owned());
    }
    let cancelled = scene.server.seen_of("notifications/cancelled");
    for call in calls {
        for (ask, asked) in &call.asks {
            let got = answers.remove(ask).unwrap_or_default();
            assert!(
                got.len() == 1 || (*asked == Asked::InVain && got.is_empty()),
                "{ask} {asked:?}: {got:?}"
            );
            let refused = got.iter().all(|text| json::at(text, &["error"]).is_some());
            assert!(*asked != Asked::Ambiguously || refused, "{ask}: {got:?}");
            for to in got.iter().filter_map(|text| json::at(text, &["result", "content", "to"])) {
                assert_eq!(json::plain(to), ask);
            }
        }
        let cancels = cancelled.iter().filter(|seen| seen.param("requestId") == Some(&*call.upstream_id));
        assert_eq!(cancels.count(), usize::from(call.cancelled), "call {}", call.number);
        assert_eq!(
            call.responses.len(),
            usize::from(!call.cancelled),
            "call {}: {:?}",
            call.number,
            call.responses
        );
        for response in &call.responses {
            let number = call.number.to_string();
            assert_eq!(json::at(response, &["result", "number"]), Some(number.as_str()), "{response}");
        }
        assert!(call.progress <= call.said);
    }
    assert!(answers.is_empty(), "answers to nothing: {answers:?}");
    assert_eq!(scene.calls(), calls.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_ask_has_one_answer_and_every_call_one_outcome(
        modern in prop::collection::vec(any::<bool>(), 1..=CALLS),
        in_lines in any::<bool>(),
        events in prop::collection::vec((0..CALLS, event()), 0..24),
    ) {
        let kinds: Vec<_> =
            modern.into_iter().map(|modern| if modern { Kind::ModernHttp } else { Kind::LegacyHttp }).collect();
        let over = if in_lines { Over::Stdio } else { Over::Http };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(over, &kinds, &events));
    }
}
