//! Variables: where their values come from, and templates over them.
//!
//! An application variable takes its value from the first of: a `--variable`
//! flag, `SPIN_VARIABLE_<NAME>` in the environment, its default. One that is
//! required and has none is an error when the application is loaded. The
//! values don't change while it runs.
//!
//! A component sees only its own variables, which are templates: text with
//! `{{ name }}` in it, where `name` is an application variable.
//!
//! SpinKube's shim adds a source: the container's `FOO` is the value of a
//! declared `foo`, and beats `SPIN_VARIABLE_FOO`. The environment comes in as
//! a map; nothing here reads the process's own.

use std::collections::BTreeMap;

use super::manifest::{Manifest, Variable, check_id};

/// Where values come from.
#[derive(Clone, Debug, Default)]
pub struct VariableSources {
    /// `--variable name=value`: these win.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Whether the environment's `FOO` sets `foo`, as under SpinKube's shim.
    pub shim: bool,
}

impl VariableSources {
    /// The value that the sources have for the variable, the default aside.
    fn get(&self, name: &str) -> Option<&String> {
        let upper = name.to_ascii_uppercase();
        let from_env = || self.env.get(&format!("SPIN_VARIABLE_{upper}"));
        let from_container = || self.shim.then(|| self.env.get(&upper)).flatten();
        self.flags.get(name).or_else(from_container).or_else(from_env)
    }
}

/// Why variables have no value.
#[derive(Debug, thiserror::Error)]
pub enum VariableError {
    /// A required variable is set nowhere.
    #[error(
        "variable {name:?} is required: set it with --variable {name}=… or SPIN_VARIABLE_{}",
        .name.to_ascii_uppercase()
    )]
    Required {
        /// The variable.
        name: String,
    },
    /// A flag names no variable of the application.
    #[error("--variable {name}: the application declares no variable of that name; it has: {known}")]
    UnknownFlag {
        /// The flag's name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A component's variable has a template that can't be read.
    #[error("component variable {name:?}: {reason}")]
    Template {
        /// The component's variable.
        name: String,
        /// What is wrong with its template.
        reason: TemplateError,
    },
}

/// Why the component got no value.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum LookupError {
    /// The name is none that a variable can have.
    #[error("{0}")]
    InvalidName(String),
    /// The component has no such variable.
    #[error("the component declares no variable {0:?}")]
    Undefined(String),
}

/// All values, resolved.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    application: BTreeMap<String, String>,
    component: BTreeMap<String, String>,
}

impl Variables {
    /// Finds every variable's value.
    pub fn resolve(manifest: &Manifest, sources: &VariableSources) -> Result<Self, VariableError> {
        check_flags(manifest, sources)?;
        let mut values = Self::default();
        for (name, variable) in &manifest.variables {
            let value = resolve_one(name, variable, sources)?;
            values.application.insert(name.clone(), value);
        }
        for (name, template) in &manifest.component.variables {
            let value = Template::parse(template)
                .and_then(|template| values.expand(&template))
                .map_err(|reason| VariableError::Template { name: name.clone(), reason })?;
            values.component.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// Only what the defaults give: what Spin validates a manifest with.
    pub fn defaults(manifest: &Manifest) -> Self {
        let default = |(name, variable): (&String, &Variable)| Some((name.clone(), variable.default.clone()?));
        Self { application: manifest.variables.iter().filter_map(default).collect(), component: BTreeMap::new() }
    }

    /// The component's variable.
    pub fn get(&self, name: &str) -> Result<&str, LookupError> {
        check_key(name).map_err(LookupError::InvalidName)?;
        let value = self.component.get(name);
        value.map(String::as_str).ok_or_else(|| LookupError::Undefined(name.to_owned()))
    }

    /// The template with the application's variables put in.
    pub fn expand(&self, template: &Template) -> Result<String, TemplateError> {
        let mut text = String::new();
        for part in &template.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(name) => match self.application.get(name) {
                    Some(value) => text.push_str(value),
                    None => return Err(TemplateError::Unknown { name: name.clone() }),
                },
            }
        }
        Ok(text)
    }
}

fn check_flags(manifest: &Manifest, sources: &VariableSources) -> Result<(), VariableError> {
    let declared = &manifest.variables;
    match sources.flags.keys().find(|name| !declared.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(VariableError::UnknownFlag {
            name: name.clone(),
            known: declared.keys().cloned().collect::<Vec<_>>().join(", "),
        }),
    }
}

fn resolve_one(name: &str, variable: &Variable, sources: &VariableSources) -> Result<String, VariableError> {
    let value = sources.get(name).or(variable.default.as_ref());
    value.cloned().ok_or_else(|| VariableError::Required { name: name.to_owned() })
}

/// The rule for a name that a component asks for: a little wider than that for
/// one in a manifest, since a word may begin with a digit.
fn check_key(key: &str) -> Result<(), String> {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fine = key.starts_with(|c: char| c.is_ascii_lowercase()) && key.split('_').all(word);
    if fine { Ok(()) } else { check_id(key, '_') }
}

/// Text with variables in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// Why a template has no text.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// Braces that nothing closes.
    #[error("{template:?} has a \"{{{{\" without a \"}}}}\"")]
    Unclosed {
        /// The template.
        template: String,
    },
    /// A variable that the application doesn't have.
    #[error("there is no variable {name:?}; declare it in [variables]")]
    Unknown {
        /// The name in the braces.
        name: String,
    },
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(TemplateError::Unclosed { template: text.to_owned() });
            };
            parts.push(Part::Literal(literal.to_owned()));
            parts.push(Part::Variable(name.trim().to_owned()));
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Whether there is no variable in it.
    pub fn is_literal(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::spin::manifest::Component;

    /// A manifest with these application variables (`None`: required), each
    /// handed to the component under its own name.
    pub(in crate::spin) fn manifest(variables: &[(&str, Option<&str>)]) -> Manifest {
        let declared = variables.iter().map(|(name, default)| {
            let variable = Variable {
                default: default.map(str::to_owned),
                required: default.is_none(),
                secret: false,
                description: String::new(),
            };
            (name.to_string(), variable)
        });
        let handed = variables.iter().map(|(name, _)| (name.to_string(), format!("{{{{ {name} }}}}")));
        Manifest {
            name: "app".into(),
            variables: declared.collect(),
            component: Component {
                id: "one".into(),
                source: PathBuf::new(),
                files: Vec::new(),
                allowed_outbound_hosts: Vec::new(),
                variables: handed.collect(),
                environment: BTreeMap::new(),
            },
        }
    }

    pub(in crate::spin) fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        entries.iter().map(owned).collect()
    }

    #[track_caller]
    fn check(flags: &[(&str, &str)], env: &[(&str, &str)], shim: bool, expected: &str) {
        let sources = VariableSources { flags: map(flags), env: map(env), shim };
        let variables = Variables::resolve(&manifest(&[("k_sink", Some("d"))]), &sources).unwrap();
        assert_eq!(variables.get("k_sink"), Ok(expected));
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_default() {
        let flag = [("k_sink", "flag")];
        let env = [("SPIN_VARIABLE_K_SINK", "env"), ("K_SINK", "container")];
        check(&flag, &env, false, "flag");
        check(&[], &env, false, "env");
        check(&[], &[], false, "d");
        check(&[], &[("K_SINK", "container")], false, "d");
        check(&[], &[("SPIN_VARIABLE_K_SINK", "")], false, "");
    }

    #[test]
    fn under_the_shim_the_containers_environment_beats_spins() {
        let env = [("SPIN_VARIABLE_K_SINK", "env"), ("K_SINK", "container")];
        check(&[], &env, true, "container");
        check(&[], &[("SPIN_VARIABLE_K_SINK", "env"), ("K_SINK", "")], true, "");
        check(&[], &[("k_sink", "lower")], true, "d");
        check(&[], &[("SPIN_VARIABLE_K_SINK", "env")], true, "env");
    }

    #[test]
    fn a_required_variable_without_a_value_is_an_error_that_names_it() {
        let manifest = manifest(&[("token", None)]);
        let error = Variables::resolve(&manifest, &VariableSources::default()).unwrap_err();
        assert!(error.to_string().contains("SPIN_VARIABLE_TOKEN"), "{error}");
        let sources = VariableSources { env: map(&[("SPIN_VARIABLE_TOKEN", "")]), ..Default::default() };
        assert!(Variables::resolve(&manifest, &sources).is_ok());
    }

    #[test]
    fn a_flag_for_an_undeclared_variable_is_an_error() {
        let sources = VariableSources { flags: map(&[("tokn", "x")]), ..Default::default() };
        let error = Variables::resolve(&manifest(&[("token", Some(""))]), &sources).unwrap_err();
        assert!(error.to_string().contains("it has: token"), "{error}");
    }

    #[test]
    fn a_component_gets_its_own_variables_only() {
        let variables = Variables::resolve(&manifest(&[]), &VariableSources::default()).unwrap();
        assert!(matches!(variables.get("other"), Err(LookupError::Undefined(_))));
        for name in ["", "A", "a-b", "_a", "a_", "a__b", "1a"] {
            assert!(matches!(variables.get(name), Err(LookupError::InvalidName(_))), "{name}");
        }
    }

    #[test]
    fn templates() {
        let values = Variables { application: map(&[("a", "1"), ("b", "2")]), component: BTreeMap::new() };
        let expand = |text: &str| values.expand(&Template::parse(text)?);
        assert_eq!(expand("").unwrap(), "");
        assert_eq!(expand("x {{ a }}{{b}} }} y").unwrap(), "x 12 }} y");
        assert!(Template::parse("plain } {").unwrap().is_literal());
        assert!(!Template::parse("{{ a }}").unwrap().is_literal());
        assert!(matches!(expand("{{ c }}"), Err(TemplateError::Unknown { .. })));
        assert!(matches!(expand("{{ a }} {{ b"), Err(TemplateError::Unclosed { .. })));
    }
}
