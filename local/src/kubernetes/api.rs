//! The API itself: one request in, one response out, nothing sent.
//!
//! Checks come in the order of a real API server: authentication, then authorization, the body, the namespace, admission
//! webhooks, validation, and at last the store. So a webhook that is down fails the creation of a Pod that is there
//! already.

use super::body::{self, Asked};
use super::config::Config;
use super::kubelet::{self, Fate, Next};
use super::patch::PatchType;
use super::route::{self, Kind, Query, Resource};
use super::status::{Cause, Status};
use super::store::{DeleteOptions, Store};
use super::{admission, defaults, list, table, update, validation};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use provisioner::pod::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Answer = (StatusCode, Value);

/// Whoever comes without a token.
const ANONYMOUS: &str = "system:anonymous";

/// The API's whole state.
#[derive(Debug)]
pub struct Api {
    /// The configuration; gateways may change while it runs.
    pub config: Config,
    /// The Pods.
    pub store: Store,
    /// How many requests came for each verb, as RBAC calls it.
    pub calls: BTreeMap<&'static str, u64>,
    /// False: every request is answered 503.
    pub available: bool,
    seeded: Vec<Value>,
}

impl Api {
    /// An API without Pods.
    pub fn new(config: Config, started: DateTime<Utc>) -> Self {
        let seeded = config.seeded(started);
        Self { config, store: Store::new(), calls: BTreeMap::new(), available: true, seeded }
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &Request<Bytes>, now: DateTime<Utc>) -> Response {
        match self.route(request, now) {
            Ok((code, Value::String(text))) => respond(code, "text/plain; charset=utf-8", text),
            Ok((code, object)) => {
                let is_table = table::wanted(request.headers());
                let object = if is_table { table::of(&object, now) } else { object };
                respond(code, "application/json", object.to_string())
            }
            Err(status) => failure(&status),
        }
    }

    fn route(&mut self, request: &Request<Bytes>, now: DateTime<Utc>) -> Result<Answer, Status> {
        if !self.available {
            let message = "the server is currently unable to handle the request";
            return Err(Status::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message));
        }
        let user = self.authenticate(request)?;
        let path = request.uri().path();
        let parts = route::parts(path);
        let found = match &parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..] {
            ["healthz" | "livez" | "readyz", ..] => return ok(json!("ok")),
            ["version"] => return ok(route::version()),
            ["api"] => ok(json!({"kind": "APIVersions", "versions": ["v1"]})),
            ["apis"] => ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
            ["api", "v1"] => ok(route::core_resources()),
            ["api", "v1", rest @ ..] if let Some(resource) = Resource::of(rest) => {
                let asked = Asked { request, query: Query::of(request.uri()), now };
                return self.resource(&asked, &resource, &user);
            }
            ["apis", "authentication.k8s.io", "v1", "tokenreviews"] if user != ANONYMOUS => self.review(request),
            ["api" | "apis", ..] => {
                let message = "the server could not find the requested resource";
                Err(Status::new(StatusCode::NOT_FOUND, "NotFound", message))
            }
            _ => Ok((StatusCode::NOT_FOUND, json!("404 page not found"))),
        };
        let message = format!("forbidden: User {ANONYMOUS:?} cannot get path {path:?}");
        if user == ANONYMOUS { Err(Status::new(StatusCode::FORBIDDEN, "Forbidden", message)) } else { found }
    }

    /// Who asks: whoever has the token, or somebody without any.
    fn authenticate(&self, request: &Request<Bytes>) -> Result<String, Status> {
        let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let credentials = value.and_then(|value| value.split_once(' '));
        match credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
            Some((_, token)) if token != self.config.token => {
                Err(Status::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"))
            }
            None if self.config.open_to.is_none() => Ok(ANONYMOUS.to_owned()),
            _ => Ok(self.config.user.clone()),
        }
    }

    fn resource(&mut self, asked: &Asked, resource: &Resource, user: &str) -> Result<Answer, Status> {
        let verb = route::verb(asked.request.method(), resource, &asked.query);
        *self.calls.entry(verb).or_default() += 1;
        self.authorize(user, verb, resource)?;
        match (resource.kind, verb, resource.namespace.as_deref(), resource.name.as_deref()) {
            (Kind::Pod, "create", Some(namespace), None) => self.create(asked, namespace),
            (Kind::Pod, "patch", Some(namespace), Some(name)) => self.patch(asked, namespace, name),
            (Kind::Pod, "delete", Some(namespace), Some(name)) => {
                let options = asked.delete_options()?;
                let pod = self.store.get(namespace, name)?.clone();
                ok(self.store.delete(pod, &options, asked.now)?)
            }
            (Kind::Pod, "get", Some(namespace), Some(name)) => ok(self.store.get(namespace, name)?.clone()),
            (kind, "get", _, Some(name)) => {
                let found = self.objects(resource).find(|object| object["metadata"]["name"] == name);
                ok(found.ok_or_else(|| Status::not_found(kind.plural(), name))?.clone())
            }
            (kind, "list", _, None) => ok(list::page(kind, self.objects(resource), self.store.version, &asked.query)?),
            _ => Err(not_allowed()),
        }
    }

    /// Says whose a token is. There is one that is somebody's, and it is for every audience.
    fn review(&mut self, request: &Request<Bytes>) -> Result<Answer, Status> {
        if request.method() != Method::POST {
            return Err(not_allowed());
        }
        *self.calls.entry("create").or_default() += 1;
        let review: Value = serde_json::from_slice(request.body())
            .map_err(|error| Status::bad_request(format!("the object provided is unrecognized: {error}")))?;
        let (spec, user) = (&review["spec"], &self.config.user);
        let status = match spec["token"] == self.config.token {
            true => json!({"authenticated": true, "user": {"username": user}, "audiences": spec["audiences"]}),
            false => json!({"user": {}, "error": "invalid bearer token"}),
        };
        let review = json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": spec,
            "status": status});
        Ok((StatusCode::CREATED, review))
    }

    fn authorize(&self, user: &str, verb: &str, resource: &Resource) -> Result<(), Status> {
        let (plural, name) = (resource.kind.plural(), resource.name.as_deref().unwrap_or_default());
        let namespace = match resource.kind {
            Kind::Namespace => name,
            _ => resource.namespace.as_deref().unwrap_or_default(),
        };
        let role = self.config.role.as_ref();
        match user != ANONYMOUS && role.is_none_or(|role| role.allows(verb, plural, namespace)) {
            true => Ok(()),
            false => Err(Status::forbidden(user, verb, plural, name, namespace)),
        }
    }

    fn create(&mut self, asked: &Asked, namespace: &str) -> Result<Answer, Status> {
        let dry = asked.is_dry_run("CreateOptions")?;
        let mut pod = asked.new_pod(namespace)?;
        let labels = self.config.namespaces.get(namespace);
        let labels = labels.ok_or_else(|| Status::not_found("namespaces", namespace))?;
        defaults::spec(&mut pod);
        admission::admit(&self.config.gateways, namespace, labels, &mut pod)?;
        defaults::spec(&mut pod);
        let causes = validation::validate(&pod);
        if !causes.is_empty() {
            return Err(Status::invalid("Pod", text(&pod["metadata"]["name"]), &causes));
        }
        Ok((StatusCode::CREATED, self.store.create(pod, asked.now, dry)?))
    }

    fn patch(&mut self, asked: &Asked, namespace: &str, name: &str) -> Result<Answer, Status> {
        let unsupported = || Status::unsupported_media_type(&PatchType::ACCEPTED);
        let patch_type = PatchType::of(&asked.media_type()).ok_or_else(unsupported)?;
        let dry = asked.is_dry_run("PatchOptions")?;
        let old = self.store.get(namespace, name)?;
        let patch: Value = serde_json::from_slice(asked.request.body())
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        if !patch.is_object() {
            return Err(Status::bad_request("error decoding patch: it is no object"));
        }
        let mut new = old.clone();
        patch_type.apply(&mut new, &patch)?;
        body::check_types(&new)
            .map_err(|status| Status::invalid("", "", &[Cause::invalid("patch", patch, &status.message)]))?;
        ok(self.store.update(update::prepare(old, new)?, dry)?)
    }

    /// Has every Pod take its next step on its node. A kubelet that can't reach the API changes nothing there.
    pub fn tick(&mut self, now: DateTime<Utc>) {
        if !self.available {
            return;
        }
        let step = |pod: &Value| Some((pod.clone(), kubelet::next(pod, now)?));
        let steps: Vec<_> = self.store.list(None).filter_map(step).collect();
        for (pod, next) in steps {
            // It is there, and nobody else writes meanwhile.
            _ = match next {
                Next::Changed(pod) => self.store.update(pod, false),
                Next::Removed => self.store.delete(pod, &DeleteOptions::at_once(), now),
            };
        }
    }

    /// Lets the client in the Pod with this uid meet its fate; false where it doesn't run.
    pub fn meet(&mut self, uid: &str, fate: Fate, now: DateTime<Utc>) -> bool {
        let pod = self.store.list(None).find(|pod| text(&pod["metadata"]["uid"]) == uid);
        let pod = pod.and_then(|pod| kubelet::meet(pod, fate, now));
        pod.is_some_and(|pod| self.store.update(pod, false).is_ok())
    }

    /// The objects of a kind, of one namespace or of all.
    pub(super) fn objects(&self, Resource { kind, namespace, .. }: &Resource) -> impl Iterator<Item = &Value> {
        let (kind, namespace) = (kind.words().0, namespace.as_deref());
        let is_asked = move |object: &&Value| {
            object["kind"] == kind && namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
        };
        self.store.list(namespace).chain(&self.seeded).filter(is_asked)
    }
}

fn not_allowed() -> Status {
    let message = "the server does not allow this method on the requested resource";
    Status::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

fn ok(body: Value) -> Result<Answer, Status> {
    Ok((StatusCode::OK, body))
}

fn respond(code: StatusCode, media_type: &'static str, body: String) -> Response {
    (code, [(CONTENT_TYPE, media_type)], body).into_response()
}

/// A failure as a response.
pub fn failure(status: &Status) -> Response {
    respond(status.code, "application/json", status.json().to_string())
}
