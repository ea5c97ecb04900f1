//! The API itself: one request in, one response out, nothing sent.
//!
//! Checks come in the order of a real API server: authentication, then authorization, the body, the namespace, admission
//! webhooks, validation, and at last the store. So a webhook that is down fails the creation of a Pod that is there
//! already.

use super::config::Config;
use super::kubelet::{self, Fate, Next};
use super::observe::{PodChange, PodView};
use super::patch::PatchType;
use super::route::{self, Kind, Query, Resource, Route};
use super::status::{Cause, Status};
use super::store::{DeleteOptions, Stamp, Store};
use super::{admission, body, defaults, discovery, list, seeded, table, types, update, validation};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use provisioner::pod::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::broadcast;

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
    started: DateTime<Utc>,
}

impl Api {
    /// An API without Pods that reports changes to `changes`.
    pub fn new(config: Config, started: DateTime<Utc>, changes: broadcast::Sender<PodChange>) -> Self {
        Self { config, store: Store::new(changes), calls: BTreeMap::new(), available: true, started }
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &Request<Bytes>, stamp: &Stamp) -> Response<Bytes> {
        match self.route(request, stamp) {
            Ok((code, Value::String(text))) => respond(code, "text/plain; charset=utf-8", text),
            Ok((code, object)) => {
                let is_table = table::wanted(request.headers());
                let object = if is_table { table::of(&object, stamp.now) } else { object };
                respond(code, "application/json", object.to_string())
            }
            Err(status) => failure(&status),
        }
    }

    fn route(&mut self, request: &Request<Bytes>, stamp: &Stamp) -> Result<Answer, Status> {
        if !self.available {
            return Err(Status::service_unavailable());
        }
        let user = self.authenticate(request)?;
        let path = request.uri().path();
        match Route::of(path) {
            Route::Health => Ok((StatusCode::OK, json!("ok"))),
            Route::Resource(resource) => self.resource(request, &resource, &user, stamp),
            route if user == ANONYMOUS && route != Route::Version => Err(Status::forbidden_path(ANONYMOUS, path)),
            Route::TokenReviews => self.review(request),
            Route::NoResource => Err(Status::no_such_resource()),
            route => match discovery::document(&route) {
                Some(document) => ok(document),
                None => Ok((StatusCode::NOT_FOUND, json!("404 page not found"))),
            },
        }
    }

    /// Who asks: whoever has the token, or somebody without any.
    fn authenticate(&self, request: &Request<Bytes>) -> Result<String, Status> {
        let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match value.and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => match token == self.config.token {
                true => Ok(self.config.user.clone()),
                false => Err(Status::unauthorized()),
            },
            _ => Ok(ANONYMOUS.to_owned()),
        }
    }

    fn resource(
        &mut self,
        request: &Request<Bytes>,
        resource: &Resource,
        user: &str,
        stamp: &Stamp,
    ) -> Result<Answer, Status> {
        let query = Query::of(request.uri());
        let verb = route::verb(request.method(), resource, &query);
        *self.calls.entry(verb).or_default() += 1;
        self.authorize(user, verb, resource)?;
        let name = resource.name.as_deref();
        match (resource.kind, verb, resource.namespace.as_deref(), name) {
            (Kind::Pod, "create", Some(namespace), None) => self.create(request, namespace, &query, stamp),
            (Kind::Pod, "patch", Some(namespace), Some(name)) => self.patch(request, namespace, name, &query),
            (Kind::Pod, "delete", Some(namespace), Some(name)) => {
                let options = body::delete_options(request, &query)?;
                let pod = self.store.get(namespace, name)?.clone();
                ok(self.store.delete(pod, &options, stamp)?)
            }
            (Kind::Pod, "get", Some(namespace), Some(name)) => ok(self.store.get(namespace, name)?.clone()),
            (kind, "get", _, Some(name)) => {
                let mut all = seeded::objects(&self.config, resource, self.started).into_iter();
                let found = all.find(|object| object["metadata"]["name"] == name);
                ok(found.ok_or_else(|| Status::not_found(kind.plural(), name))?)
            }
            (kind, "list", namespace, None) => self.list(kind, namespace, resource, &query),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Says whose a token is. There is one that is somebody's, and it is for every audience.
    fn review(&mut self, request: &Request<Bytes>) -> Result<Answer, Status> {
        if request.method() != Method::POST {
            return Err(Status::method_not_allowed());
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

    fn create(
        &mut self,
        request: &Request<Bytes>,
        namespace: &str,
        query: &Query,
        stamp: &Stamp,
    ) -> Result<Answer, Status> {
        let dry = body::is_dry_run("CreateOptions", query.get("dryRun"))?;
        not_strict(query)?;
        let mut pod = body::new_pod(request, namespace, stamp)?;
        let labels = self.config.namespaces.get(namespace);
        let labels = labels.ok_or_else(|| Status::not_found("namespaces", namespace))?;
        defaults::spec(&mut pod);
        admission::admit(&self.config.gateways, namespace, labels, &mut pod)?;
        defaults::spec(&mut pod);
        let causes = validation::validate(&pod);
        if !causes.is_empty() {
            return Err(Status::invalid("Pod", text(&pod["metadata"]["name"]), &causes));
        }
        Ok((StatusCode::CREATED, self.store.create(pod, stamp, dry)?))
    }

    fn patch(
        &mut self,
        request: &Request<Bytes>,
        namespace: &str,
        name: &str,
        query: &Query,
    ) -> Result<Answer, Status> {
        let unsupported = || Status::unsupported_media_type(&PatchType::ACCEPTED);
        let patch_type = PatchType::of(&body::media_type(request)).ok_or_else(unsupported)?;
        let dry = body::is_dry_run("PatchOptions", query.get("dryRun"))?;
        not_strict(query)?;
        let old = self.store.get(namespace, name)?;
        let patch: Value = serde_json::from_slice(request.body())
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        if !patch.is_object() {
            return Err(Status::bad_request("error decoding patch: it is no object"));
        }
        let mut new = old.clone();
        patch_type.apply(&mut new, &patch)?;
        types::check(&new)
            .map_err(|status| Status::invalid("", "", &[Cause::invalid_value("patch", patch, &status.message)]))?;
        let new = update::prepare(old, new)?;
        ok(self.store.update(new, dry)?)
    }

    /// Has every Pod take its next step on its node. A kubelet that can't reach the API changes nothing there.
    pub fn tick(&mut self, stamp: &Stamp) {
        if !self.available {
            return;
        }
        let step = |pod: &Value| Some((pod.clone(), kubelet::next(pod, stamp.now)?));
        let steps: Vec<_> = self.store.list(None).filter_map(step).collect();
        for (pod, next) in steps {
            // It is there, and nobody else writes meanwhile.
            _ = match next {
                Next::Changed(pod) => self.store.update(pod, false),
                Next::Removed => self.store.delete(pod, &DeleteOptions::at_once(), stamp),
            };
        }
    }

    /// Lets the client in the Pod with this uid meet its fate; false where it doesn't run.
    pub fn meet(&mut self, uid: &str, fate: Fate, now: DateTime<Utc>) -> bool {
        let pod = self.store.list(None).find(|pod| PodView(pod).uid() == uid);
        let pod = pod.and_then(|pod| kubelet::meet(pod, fate, now));
        pod.is_some_and(|pod| self.store.update(pod, false).is_ok())
    }

    fn list(&self, kind: Kind, namespace: Option<&str>, resource: &Resource, query: &Query) -> Result<Answer, Status> {
        let version = self.store.resource_version();
        ok(match kind {
            Kind::Pod => list::page(kind, self.store.list(namespace), &version, query)?,
            _ => list::page(kind, seeded::objects(&self.config, resource, self.started).iter(), &version, query)?,
        })
    }
}

/// Whether a field is known to Kubernetes is not known here.
fn not_strict(query: &Query) -> Result<(), Status> {
    match query.get("fieldValidation") {
        "Strict" => Err(Status::bad_request(
            "the embedded Kubernetes API does not know every field: use fieldValidation=Ignore (kubectl --validate=ignore)",
        )),
        _ => Ok(()),
    }
}

fn ok(body: Value) -> Result<Answer, Status> {
    Ok((StatusCode::OK, body))
}

fn respond(code: StatusCode, media_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A failure as a response.
pub fn failure(status: &Status) -> Response<Bytes> {
    respond(status.code, "application/json", status.json().to_string())
}
