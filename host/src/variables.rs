//! Variables: where their values come from, and templates over them.
//!
//! An application variable takes its value from the first of: a `--variable` flag, `SPIN_VARIABLE_<NAME>` in the
//! environment, its default. The values don't change while it runs. A component sees only its own variables, which are
//! templates: text with `{{ name }}` in it, where `name` is an application variable.
//!
//! The environment comes in as a map; nothing here reads the process's own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::manifest::{Manifest, Variable};

/// Where values come from.
#[derive(Clone, Debug, Default)]
pub struct VariableSources {
    /// `--variable name=value`: these win.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

/// All values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    application: BTreeMap<String, String>,
    component: BTreeMap<String, String>,
}

impl Variables {
    /// Finds every variable's value.
    pub(crate) fn resolve(manifest: &Manifest, sources: &VariableSources) -> Result<Self> {
        if let Some(name) = sources.flags.keys().find(|name| !manifest.variables.contains_key(*name)) {
            let known = manifest.variables.keys().cloned().collect::<Vec<_>>().join(", ");
            bail!("--variable {name}: the application declares no variable of that name; it has: {known}");
        }
        let value =
            |(name, variable): (&String, &Variable)| anyhow::Ok((name.clone(), value(name, variable, sources)?));
        let application = manifest.variables.iter().map(value).collect::<Result<_>>()?;
        let mut values = Self { application, component: BTreeMap::new() };
        for (name, template) in &manifest.component.variables {
            let value = values.expand(template)?;
            values.component.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// Only what the defaults give: what Spin validates a manifest with.
    pub(crate) fn defaults(manifest: &Manifest) -> Self {
        let default = |(name, variable): (&String, &Variable)| Some((name.clone(), variable.default.clone()?));
        Self { application: manifest.variables.iter().filter_map(default).collect(), component: BTreeMap::new() }
    }

    /// The component's variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.component.get(name).map(String::as_str)
    }

    /// The template with the application's variables put in.
    pub(crate) fn expand(&self, template: &str) -> Result<String> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").with_context(|| format!("{template:?} has a \"{{{{\" without a \"}}}}\""))?;
            let name = name.trim();
            let value = self
                .application
                .get(name)
                .with_context(|| format!("{template:?}: there is no variable {name:?}; declare it in [variables]"))?;
            text.push_str(literal);
            text.push_str(value);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

fn value(name: &str, variable: &Variable, sources: &VariableSources) -> Result<String> {
    let upper = name.to_ascii_uppercase();
    let env = || sources.env.get(&format!("SPIN_VARIABLE_{upper}"));
    let found = sources.flags.get(name).or_else(env).or(variable.default.as_ref()).cloned();
    let missing = || format!("variable {name:?} is required: set it with --variable {name}=… or SPIN_VARIABLE_{upper}");
    found.with_context(missing)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::manifest::Component;

    /// A manifest with these application variables (`None`: required), each handed to the component under its own name.
    pub(crate) fn manifest(variables: &[(&str, Option<&str>)]) -> Manifest {
        let declared = variables.iter().map(|(name, default)| {
            let default = default.map(str::to_owned);
            (name.to_string(), Variable { required: default.is_none(), default, ..Variable::default() })
        });
        let handed = variables.iter().map(|(name, _)| (name.to_string(), format!("{{{{ {name} }}}}")));
        let component = Component { variables: handed.collect(), ..Component::default() };
        Manifest { variables: declared.collect(), component }
    }

    pub(crate) fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        entries.iter().map(owned).collect()
    }

    #[track_caller]
    fn check(flags: &[(&str, &str)], env: &[(&str, &str)], expected: &str) {
        let sources = VariableSources { flags: map(flags), env: map(env) };
        let variables = Variables::resolve(&manifest(&[("k_sink", Some("d"))]), &sources).unwrap();
        assert_eq!(variables.get("k_sink"), Some(expected));
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_default() {
        let flag = [("k_sink", "flag")];
        let env = [("SPIN_VARIABLE_K_SINK", "env")];
        check(&flag, &env, "flag");
        check(&[], &env, "env");
        check(&[], &[], "d");
        check(&[], &[("K_SINK", "container")], "d");
        check(&[], &[("SPIN_VARIABLE_K_SINK", "")], "");
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
        assert_eq!(variables.get("other"), None);
    }

    #[test]
    fn templates() {
        let values = Variables { application: map(&[("a", "1"), ("b", "2")]), component: BTreeMap::new() };
        let expand = |text: &str| values.expand(text).map_err(|error| error.to_string());
        assert_eq!(expand("").unwrap(), "");
        assert_eq!(expand("x {{ a }}{{b}} }} y").unwrap(), "x 12 }} y");
        assert!(expand("{{ c }}").unwrap_err().contains("no variable \"c\""));
        assert!(expand("{{ a }} {{ b").unwrap_err().contains("without"));
    }
}
