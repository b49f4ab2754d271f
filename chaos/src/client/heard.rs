//! What an answer means for who asked: it is done, it is not done, it may be done, or nobody can tell.

use serde_json::Value;

use super::Broken;

/// Anything but the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Not {
    /// It was certainly not carried out: nothing was sent, or the answer says so.
    Refused(String),
    /// It may have been carried out, and the client knows that it does not know.
    Lost(String),
    /// The session is over.
    NoSession,
    /// What came after that event is not kept any more.
    NoEvent,
    /// What no client could make sense of.
    Wrong(String),
}

impl From<Broken> for Not {
    fn from(broken: Broken) -> Self {
        if broken.was_sent { Self::Lost(broken.what) } else { Self::Refused(broken.what) }
    }
}

/// A whole response, or a message of a stream, that answers a request.
pub(crate) fn read(status: u16, was_sent: bool, in_session: bool, message: &Value) -> Result<Value, Not> {
    let error = &message["error"];
    if status == 200 && error.is_null() {
        return match &message["result"] {
            Value::Null => Err(Not::Wrong(format!("200 without a result: {message}"))),
            result => Ok(result.clone()),
        };
    }
    if error.is_null() {
        // The balancer's own, which is no JSON.
        return Err(match (status, was_sent) {
            (502..=504, false) => Not::Refused(format!("HTTP {status}, not sent")),
            (502..=504, true) => Not::Lost(format!("HTTP {status} from the balancer")),
            _ => Not::Wrong(format!("HTTP {status}: {message}")),
        });
    }
    let data = &error["data"];
    let reason = data["reason"].as_str();
    Err(match (reason, data["notProcessed"].as_bool()) {
        (Some("not_resumable"), _) => Not::NoEvent,
        (Some(reason), Some(true)) => Not::Refused(reason.to_owned()),
        (Some(reason), _) => Not::Lost(reason.to_owned()),
        (None, _) if status == 404 && in_session => Not::NoSession,
        (None, _) => Not::Wrong(format!("HTTP {status}: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_means_one_thing() {
        let lost = json!({"error": {"code": -31520, "data": {"reason": "upstream_broke_off", "notProcessed": false}}});
        let refused =
            json!({"error": {"code": -31513, "data": {"reason": "draining", "notProcessed": true}}});
        let other = json!({"error": {"code": -32602, "message": "no"}});
        let stale = json!({"error": {"code": -32600, "data": {"reason": "not_resumable"}}});
        let refused_as = |what: &str| Err(Not::Refused(what.to_owned()));
        let lost_as = |what: &str| Err(Not::Lost(what.to_owned()));
        assert_eq!(read(200, true, false, &json!({"result": 1})), Ok(json!(1)));
        assert_eq!(read(200, true, false, &lost), lost_as("upstream_broke_off"));
        assert_eq!(read(503, true, false, &refused), refused_as("draining"));
        assert_eq!(read(502, false, false, &Value::Null), refused_as("HTTP 502, not sent"));
        assert_eq!(read(502, true, false, &Value::Null), lost_as("HTTP 502 from the balancer"));
        assert_eq!(read(404, true, true, &other), Err(Not::NoSession));
        assert_eq!(read(400, true, true, &stale), Err(Not::NoEvent));
        for (status, message) in [(404, other.clone()), (200, other), (200, json!({})), (500, Value::Null)] {
            assert!(matches!(read(status, true, false, &message), Err(Not::Wrong(_))), "{status} {message}");
        }
    }
}
