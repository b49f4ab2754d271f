//! The server: what it answers to each method, and what it remembers between calls.

#![expect(
    deprecated,
    reason = "logging and resources/subscribe are legacy methods, and this serves both eras"
)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, ErrorCode, Extensions,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, Implementation,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Reference, RequestStateCodec, ResourceUpdatedNotificationParam, ServerCapabilities,
    ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{
    NotificationContext, RequestContext, ServiceError, SubscriptionContext, SubscriptionSendError,
    SubscriptionSink,
};
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler};
use serde_json::json;

use crate::ask::{Call, Stop};
use crate::resources::{TEMPLATE, WATCHED, contents_of, page, resources, templates};
use crate::{prompts, tools};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Both,
    Modern,
    Legacy,
}

/// What clients hear of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Tools,
    Prompts,
    Watched,
}

/// The modern clients that listen.
#[derive(Default)]
struct Listeners {
    sinks: Vec<SubscriptionSink>,
    /// Those that were told that they listen and have no sink yet: the SDK acknowledges first.
    coming: usize,
}

pub(crate) struct Fixture {
    era: Era,
    page_size: usize,
    pub(crate) seal: RequestStateCodec,
    pub(crate) tasks: TaskManager,
    tools: Vec<Tool>,
    has_dynamic_tool: AtomicBool,
    has_dynamic_prompt: AtomicBool,
    watched_version: AtomicU64,
    /// How each `test_cancellation` fares, by its token.
    waits: Mutex<HashMap<String, &'static str>>,
    listeners: Mutex<Listeners>,
    /// Legacy sessions by session id ("" on stdio): those that are open, those that watch the resource, log levels.
    sessions: Mutex<HashMap<String, Peer<RoleServer>>>,
    watchers: Mutex<HashMap<String, Peer<RoleServer>>>,
    log_levels: Mutex<HashMap<String, LoggingLevel>>,
}

impl Fixture {
    pub(crate) fn new(era: Era, page_size: usize) -> Result<Self, String> {
        let mut key = [0; RequestStateCodec::MIN_KEY_LENGTH];
        getrandom::fill(&mut key).map_err(|error| format!("no randomness for a key: {error}"))?;
        let seal = RequestStateCodec::try_new(key).map_err(|error| format!("no key: {error}"))?;
        Ok(Self {
            era,
            page_size,
            seal,
            tasks: TaskManager::new(),
            tools: tools::definitions()?,
            has_dynamic_tool: AtomicBool::new(false),
            has_dynamic_prompt: AtomicBool::new(false),
            watched_version: AtomicU64::new(1),
            waits: Mutex::default(),
            listeners: Mutex::default(),
            sessions: Mutex::default(),
            watchers: Mutex::default(),
            log_levels: Mutex::default(),
        })
    }

    pub(crate) fn log_level(&self, session: &str) -> Option<LoggingLevel> {
        locked(&self.log_levels).get(session).copied()
    }

    /// Makes a change, and tells the modern clients that listen and the legacy sessions that it concerns.
    pub(crate) async fn announce(&self, change: Change) {
        match change {
            Change::Tools => drop(self.has_dynamic_tool.fetch_xor(true, Ordering::Relaxed)),
            Change::Prompts => drop(self.has_dynamic_prompt.fetch_xor(true, Ordering::Relaxed)),
            Change::Watched => drop(self.watched_version.fetch_add(1, Ordering::Relaxed)),
        }

        // A client that has its acknowledgment counts on hearing of this. One that left before it could be served
        // must not hold up the others.
        let patience = Instant::now() + Duration::from_millis(200);
        while locked(&self.listeners).coming > 0 && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let Listeners { sinks, .. } = std::mem::take(&mut *locked(&self.listeners));
        for sink in sinks {
            let sent = match change {
                Change::Tools => sink.notify_tool_list_changed().await,
                Change::Prompts => sink.notify_prompt_list_changed().await,
                Change::Watched => sink.notify_resource_updated(WATCHED).await,
            };
            if matches!(sent, Ok(()) | Err(SubscriptionSendError::NotificationNotAccepted(_))) {
                locked(&self.listeners).sinks.push(sink);
            }
        }

        let sessions = if change == Change::Watched { &self.watchers } else { &self.sessions };
        let peers: Vec<_> = locked(sessions).iter().map(|(key, peer)| (key.clone(), peer.clone())).collect();
        for (key, peer) in peers {
            let sent = match change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Watched => {
                    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(WATCHED)).await
                }
            };
            match sent {
                Ok(()) => {}
                Err(ServiceError::TransportClosed) => drop(locked(sessions).remove(&key)),
                Err(error) => eprintln!("a legacy session did not hear of a change: {error}"),
            }
        }
    }

    pub(crate) fn wait(&self, token: &str) -> Wait<'_> {
        locked(&self.waits).insert(token.to_owned(), "running");
        Wait { fixture: self, token: token.to_owned(), outcome: "cancelled" }
    }

    pub(crate) fn outcome_of_wait(&self, token: &str) -> &'static str {
        locked(&self.waits).get(token).copied().unwrap_or("unknown")
    }

    fn all_tools(&self) -> Vec<Tool> {
        let dynamic = self.has_dynamic_tool.load(Ordering::Relaxed).then(tools::dynamic);
        self.tools.iter().cloned().chain(dynamic).collect()
    }
}

/// One `test_cancellation`. To cancel it is to drop it before it finished.
pub(crate) struct Wait<'a> {
    fixture: &'a Fixture,
    token: String,
    outcome: &'static str,
}

impl Wait<'_> {
    pub(crate) fn finish(mut self) {
        self.outcome = "finished";
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        locked(&self.fixture.waits).insert(std::mem::take(&mut self.token), self.outcome);
    }
}

/// A panic elsewhere leaves nothing half done behind these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The legacy session that a message belongs to: its session id, or "" on stdio, where there is only one.
pub(crate) fn session_key(extensions: &Extensions) -> String {
    let parts = extensions.get::<http::request::Parts>();
    let header = parts.and_then(|parts| parts.headers.get("mcp-session-id")?.to_str().ok());
    header.unwrap_or_default().to_owned()
}

fn resource_not_found(uri: &str) -> ErrorData {
    // The SDK turns the code into that of 2026-07-28 where it must.
    ErrorData::resource_not_found(format!("Resource not found: {uri}"), Some(json!({ "uri": uri })))
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed();
        // The extension is of 2026.
        let capabilities =
            if self.era == Era::Legacy { capabilities.build() } else { capabilities.enable_tasks().build() };
        let newest = match self.era {
            Era::Legacy => ProtocolVersion::LATEST_WITH_INITIALIZE,
            Era::Modern | Era::Both => ProtocolVersion::LATEST,
        };
        ServerConfig::new(capabilities)
            .with_protocol_version(newest)
            .with_server_info(Implementation::new("portolan-rmcp-peer", "1.0.0"))
            .with_instructions("The conformance fixture on the official Rust SDK.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(match self.era {
            Era::Both => ProtocolVersion::KNOWN_VERSIONS,
            Era::Modern => &[ProtocolVersion::V_2026_07_28],
            Era::Legacy => ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE),
        })
    }

    /// The SDK checks `Mcp-Param-*` headers against what this returns.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.all_tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        params: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (tools, cursor) = page(self.all_tools(), params, self.page_size)?;
        let mut result = ListToolsResult::with_all_items(tools);
        result.next_cursor = cursor;
        Ok(result)
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.get_tool(&params.name) else {
            return Err(ErrorData::invalid_params(format!("Unknown tool: {}", params.name), None));
        };
        let call = Call::new(
            self,
            &context,
            &params.name,
            params.arguments,
            params.input_responses,
            params.request_state.as_deref(),
        )?;
        // The SDK tells of a cancellation and leaves it to the handler to stop.
        let outcome = tokio::select! {
            outcome = tools::run(&tool, call) => outcome,
            () = context.ct.cancelled() => {
                eprintln!("cancelled {}", tool.name);
                return Err(ErrorData::new(ErrorCode::INTERNAL_ERROR, "Cancelled", None));
            }
        };
        match outcome {
            Ok(response) => Ok(response),
            Err(Stop::Failed(text)) => Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into()),
            Err(Stop::Ask(question)) => Ok(question.into()),
            Err(Stop::Refused(error)) => Err(error),
        }
    }

    async fn list_prompts(
        &self,
        params: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let listed = prompts::prompts(self.has_dynamic_prompt.load(Ordering::Relaxed));
        let (listed, cursor) = page(listed, params, self.page_size)?;
        let mut result = ListPromptsResult::with_all_items(listed);
        result.next_cursor = cursor;
        Ok(result)
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let listed = prompts::prompts(self.has_dynamic_prompt.load(Ordering::Relaxed));
        let Some(prompt) = listed.into_iter().find(|prompt| prompt.name == params.name) else {
            return Err(ErrorData::invalid_params(format!("Unknown prompt: {}", params.name), None));
        };
        let call = Call::new(
            self,
            &context,
            &params.name,
            params.arguments,
            params.input_responses,
            params.request_state.as_deref(),
        )?;
        match prompts::messages(&prompt, call).await {
            Ok(messages) => {
                let result = GetPromptResult::new(messages);
                Ok(result.with_description(prompt.description.unwrap_or_default()).into())
            }
            Err(Stop::Failed(text)) => Err(ErrorData::invalid_request(text, None)),
            Err(Stop::Ask(question)) => Ok(question.into()),
            Err(Stop::Refused(error)) => Err(error),
        }
    }

    async fn list_resources(
        &self,
        params: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (listed, cursor) = page(resources(), params, self.page_size)?;
        let mut result = ListResourcesResult::with_all_items(listed);
        result.next_cursor = cursor;
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (listed, cursor) = page(templates(), params, self.page_size)?;
        let mut result = ListResourceTemplatesResult::with_all_items(listed);
        result.next_cursor = cursor;
        if crate::ask::is_modern(&context) {
            // The templates never change, so that a cache that honours the hint has something to keep.
            result = result.with_ttl_ms(60_000).with_cache_scope(CacheScope::Public);
        }
        Ok(result)
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let version = self.watched_version.load(Ordering::Relaxed);
        let contents = contents_of(&params.uri, version).ok_or_else(|| resource_not_found(&params.uri))?;
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let candidates: &[&str] = match (&params.r#ref, params.argument.name.as_str()) {
            (Reference::Prompt(prompt), "arg1") if prompt.name == "test_prompt_with_arguments" => {
                &["paris", "park", "party", "test"]
            }
            (Reference::Resource(template), "id") if template.uri == TEMPLATE => &["1", "12", "123"],
            _ => &[],
        };
        let fitting = candidates.iter().filter(|value| value.starts_with(&params.argument.value));
        let values = fitting.map(|value| (*value).to_owned()).collect();
        let completion = CompletionInfo::with_all_values(values)
            .map_err(|error| ErrorData::new(ErrorCode::INTERNAL_ERROR, error, None))?;
        Ok(CompleteResult::new(completion))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        locked(&self.listeners).coming += 1;
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        {
            let mut listeners = locked(&self.listeners);
            listeners.coming = listeners.coming.saturating_sub(1);
            listeners.sinks.push(context.sink().clone());
        }
        context.cancelled().await;
        Ok(())
    }

    async fn get_task(
        &self,
        params: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks.get_task(&params.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        params: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update_task(&params.task_id, params.input_responses)
    }

    async fn cancel_task(
        &self,
        params: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&params.task_id)
    }

    // Of the legacy era only.

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        locked(&self.sessions).insert(session_key(&context.extensions), context.peer);
    }

    async fn set_level(
        &self,
        params: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if crate::ask::is_modern(&context) {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "logging/setLevel", None));
        }
        locked(&self.log_levels).insert(session_key(&context.extensions), params.level);
        Ok(())
    }

    async fn subscribe(
        &self,
        params: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        contents_of(&params.uri, 0).ok_or_else(|| resource_not_found(&params.uri))?;
        if params.uri == WATCHED {
            locked(&self.watchers).insert(session_key(&context.extensions), context.peer);
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        params: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if params.uri == WATCHED {
            locked(&self.watchers).remove(&session_key(&context.extensions));
        }
        Ok(())
    }
}
