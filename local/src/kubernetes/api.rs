//! The API itself: one request in, one response out, nothing sent.
//!
//! Checks come in the order of a real API server: authentication, then
//! authorization, the body, the namespace, admission webhooks, validation,
//! quota, and at last the store. So a webhook that is down fails the creation
//! of a Pod that is there already, and a full quota hides `AlreadyExists`.

use super::admission;
use super::body;
use super::config::Config;
use super::defaults;
use super::discovery;
use super::fault::{Fault, Faults};
use super::observe::{Calls, ChangeKind, PodChange, PodView};
use super::patch::PatchType;
use super::route::{self, Kind, Query, Resource, Route};
use super::seeded;
use super::selector::Selector;
use super::shape;
use super::status::Status;
use super::store::{DeleteOptions, Stamp, Store};
use super::table;
use super::{update, validation};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::broadcast;

type Answer = (StatusCode, Value);

/// The API's whole state.
#[derive(Debug)]
pub struct Api {
    /// The configuration; gateways may change while it runs.
    pub config: Config,
    /// The Pods.
    pub store: Store,
    /// The requests so far.
    pub calls: Calls,
    /// What goes wrong with the requests to come.
    pub faults: Faults,
    /// False: every request is answered 503.
    pub available: bool,
    /// What goes wrong with the answer to the present request.
    met: Option<Fault>,
    started: DateTime<Utc>,
    changes: broadcast::Sender<PodChange>,
}

impl Api {
    /// An API without Pods that reports changes to `changes`.
    pub fn new(config: Config, started: DateTime<Utc>, changes: broadcast::Sender<PodChange>) -> Self {
        Self {
            config,
            store: Store::default(),
            calls: Calls::default(),
            faults: Faults::default(),
            met: None,
            available: true,
            started,
            changes,
        }
    }

    /// Answers a request; a fault that the answer meets is an extension of it.
    pub fn answer(&mut self, request: &Request<Bytes>, stamp: &Stamp) -> Response<Bytes> {
        let mut response = self.whole_answer(request, stamp);
        if let Some(fault) = self.met.take() {
            response.extensions_mut().insert(fault);
        }
        response
    }

    fn whole_answer(&mut self, request: &Request<Bytes>, stamp: &Stamp) -> Response<Bytes> {
        match self.route(request, stamp) {
            Ok((code, Value::String(text))) => respond(code, text),
            Ok((code, body)) if table::wanted(request.headers()) => {
                respond(code, table::of(&body, stamp.now).to_string())
            }
            Ok((code, body)) => respond(code, body.to_string()),
            Err(status) => {
                self.calls.failed += 1;
                failure(&status)
            }
        }
    }

    fn route(&mut self, request: &Request<Bytes>, stamp: &Stamp) -> Result<Answer, Status> {
        let route = Route::of(request.uri().path());
        if !self.available {
            return Err(Status::service_unavailable());
        }
        match &route {
            Route::Health => return Ok((StatusCode::OK, json!("ok"))),
            Route::Version => {}
            _ => self.authenticate(request)?,
        }
        match route {
            Route::Unknown => Err(Status::no_such_path()),
            Route::Resource(resource) => self.resource(request, &resource, stamp),
            other => {
                let document = discovery::document(&other).unwrap_or_default();
                Ok((StatusCode::OK, document))
            }
        }
    }

    fn authenticate(&self, request: &Request<Bytes>) -> Result<(), Status> {
        let value = request.headers().get(AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' '));
        match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && token == self.config.token => Ok(()),
            _ => Err(Status::unauthorized()),
        }
    }

    fn resource(&mut self, request: &Request<Bytes>, resource: &Resource, stamp: &Stamp) -> Result<Answer, Status> {
        let query = Query::of(request.uri());
        let verb = route::verb(request.method(), resource, &query);
        *self.calls.by_verb.entry(verb).or_default() += 1;
        match self.faults.pop(verb) {
            Some(Fault::Refused(status)) => return Err(status),
            other => self.met = other,
        }
        let namespace = resource.namespace.as_deref();
        let name = resource.name.as_deref().unwrap_or_default();
        let plural = resource.kind.plural();
        let scope = match resource.kind {
            Kind::Namespace => name,
            _ => namespace.unwrap_or_default(),
        };
        let config = &self.config;
        config.access.check(&config.user, verb, plural, name, scope)?;
        match (resource.kind, verb, namespace) {
            (Kind::Pod, "create", Some(namespace)) => self.create(request, namespace, &query, stamp),
            (Kind::Pod, "patch", Some(namespace)) => self.patch(request, namespace, name),
            (Kind::Pod, "delete", Some(namespace)) => self.delete(request, namespace, name, stamp),
            (Kind::Pod, "get", Some(namespace)) => ok(self.store.get(namespace, name)?.clone()),
            (_, "get", _) => self.get_seeded(resource, name),
            (_, "list", _) => self.list(resource, &query),
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn create(
        &mut self,
        request: &Request<Bytes>,
        namespace: &str,
        query: &Query,
        stamp: &Stamp,
    ) -> Result<Answer, Status> {
        let mut pod = body::new_pod(request, namespace, stamp)?;
        shape::decode(&pod)?;
        let labels = self.namespace(namespace)?;
        defaults::spec(&mut pod);
        admission::admit(&self.config.gateways, namespace, labels, &mut pod)?;
        defaults::spec(&mut pod);
        let causes = validation::validate(&shape::decode(&pod)?);
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        if !causes.is_empty() {
            return Err(Status::invalid("Pod", name, causes));
        }
        self.check_quota(namespace, name)?;
        let dry = query.is("dryRun", "All");
        let pod = self.store.create(pod, stamp, dry)?;
        if !dry {
            self.report(ChangeKind::Created, &pod);
        }
        Ok((StatusCode::CREATED, pod))
    }

    fn namespace(&self, name: &str) -> Result<&BTreeMap<String, String>, Status> {
        let labels = self.config.namespaces.get(name);
        labels.ok_or_else(|| Status::not_found("namespaces", name))
    }

    fn check_quota(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let Some(hard) = self.config.pod_quota else {
            return Ok(());
        };
        let used = self.store.list(Some(namespace)).count();
        if used < hard {
            return Ok(());
        }
        let detail = format!("exceeded quota: pods, requested: pods=1, used: pods={used}, limited: pods={hard}");
        Err(Status::refused("pods", name, &detail))
    }

    fn patch(&mut self, request: &Request<Bytes>, namespace: &str, name: &str) -> Result<Answer, Status> {
        let unsupported = || Status::unsupported_media_type(&PatchType::ACCEPTED);
        let patch_type = PatchType::of(&body::media_type(request)).ok_or_else(unsupported)?;
        let patch = body::json(request)?;
        if !patch.is_object() {
            return Err(Status::bad_request("error decoding patch: it is not a JSON object"));
        }
        let old = self.store.get(namespace, name)?.clone();
        let mut new = old.clone();
        patch_type.apply(&mut new, &patch);
        let new = update::prepare(&old, new)?;
        let pod = self.store.update(namespace, name, new)?;
        match self.store.get(namespace, name) {
            Err(_) => self.report(ChangeKind::Deleted, &pod),
            Ok(_) if pod == old => {}
            Ok(_) if PodView(&old).is_gated() && !PodView(&pod).is_gated() => {
                self.report(ChangeKind::Released, &pod);
            }
            Ok(_) => self.report(ChangeKind::Updated, &pod),
        }
        ok(pod)
    }

    fn delete(
        &mut self,
        request: &Request<Bytes>,
        namespace: &str,
        name: &str,
        stamp: &Stamp,
    ) -> Result<Answer, Status> {
        let options = match request.body().is_empty() {
            true => DeleteOptions::default(),
            false => DeleteOptions::parse(&body::json(request)?),
        };
        let deletion = self.store.delete(namespace, name, &options, stamp)?;
        let kind = match deletion.gone {
            true => ChangeKind::Deleted,
            false => ChangeKind::Updated,
        };
        self.report(kind, &deletion.pod);
        ok(deletion.pod)
    }

    fn report(&self, kind: ChangeKind, pod: &Value) {
        let pod = pod.clone();
        // Nobody has to listen.
        let _ = self.changes.send(PodChange { kind, pod });
    }

    fn get_seeded(&self, resource: &Resource, name: &str) -> Result<Answer, Status> {
        let mut all = seeded::objects(&self.config, resource, self.started).into_iter();
        let found = all.find(|object| object["metadata"]["name"] == name);
        let missing = || Status::not_found(resource.kind.plural(), name);
        ok(found.ok_or_else(missing)?)
    }

    fn list(&self, resource: &Resource, query: &Query) -> Result<Answer, Status> {
        let selector = Selector::parse(query.get("labelSelector"), query.get("fieldSelector"))?;
        let mut items: Vec<Value> = match resource.kind {
            Kind::Pod => self.store.list(resource.namespace.as_deref()).cloned().collect(),
            _ => seeded::objects(&self.config, resource, self.started),
        };
        items.retain(|item| selector.selects(item));
        ok(json!({
            "kind": format!("{}List", resource.kind.name()),
            "apiVersion": "v1",
            "metadata": {"resourceVersion": self.store.resource_version()},
            "items": items,
        }))
    }
}

fn ok(body: Value) -> Result<Answer, Status> {
    Ok((StatusCode::OK, body))
}

fn respond(code: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = code;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A failure as a response, with `Retry-After` where it says one.
pub fn failure(status: &Status) -> Response<Bytes> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_string(status).unwrap_or_default();
    let mut response = respond(code, body);
    if let Some(seconds) = status.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}
