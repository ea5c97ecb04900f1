//! The flags, and the help that needs no README.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::output::Output;
use crate::broker::Trigger;
use crate::doors::{Doors, host_name};
use crate::kubernetes::WHAT_IT_IS_NOT;

const ABOUT: &str = "Runs the provisioner on this machine: CloudEvents in, Pods routed through a pod-gateway out";

// Broken by clap, where a terminal ends: a paragraph is one line here.
const SURROUNDINGS: &str = "\
It loads the same component and the same spin.toml as Spin and SpinKube do, and starts two things around it: an \
embedded Kubernetes API with the gateways `foo` and `bar`, and an in-memory broker that delivers as Knative's does. A \
node and Knative's sources are simulated, so that clients run, end, and are reported. \
With --kubeconfig a real cluster takes the place of the embedded API.";

const EXAMPLES: &str = include_str!("examples.txt");

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "cloudevents-podgateway-client-provisioner",
    version,
    about = ABOUT,
    long_about = format!("{ABOUT}.\n\n{SURROUNDINGS}\n\n{WHAT_IT_IS_NOT}"),
    after_long_help = EXAMPLES,
    max_term_width = 110
)]
pub struct Args {
    /// Namespace in which clients are created; embedded are `default` and `routed-clients`
    #[arg(long, value_name = "NAMESPACE", help_heading = "Clients")]
    pub client_namespace: Option<String>,
    /// Command of the client: a JSON array, or one line split as a shell splits words
    #[arg(long, value_name = "COMMAND", help_heading = "Clients")]
    pub client_command: Option<String>,
    /// Image of the client
    #[arg(long, value_name = "IMAGE", help_heading = "Clients")]
    pub client_image: Option<String>,

    /// Use the cluster of this kubeconfig, by its current context, instead of the embedded Kubernetes API
    ///
    /// It takes users with a token, a token file or a client certificate. The token is read once, at the start. A server
    /// over http, such as `kubectl proxy`, gets none of them. Once a minute a sweep reports which clients run or have ended,
    /// and deletes the Pods of those that ended longer than `client_retention` ago.
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,

    /// Say for each gateway what would become of a client, by a server-side dry run, and end; 1 if any can't be used
    ///
    /// The gateways are those of the variable `gateways`. Nothing is created. It asks as the provisioner would: the same
    /// settings, and the user of the kubeconfig. Below the table is advice on the gateways' webhooks, where that user may
    /// list mutatingwebhookconfigurations and get the client namespace.
    #[arg(long, help_heading = "Cluster")]
    pub check: bool,

    /// The application's manifest
    #[arg(long, short = 'f', value_name = "FILE", default_value = "spin.toml", help_heading = "Spin")]
    pub from: PathBuf,
    /// Set a variable of the application; wins over SPIN_VARIABLE_NAME in the environment and over the default
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value, help_heading = "Spin")]
    pub variables: Vec<(String, String)>,
    /// Spin's runtime config: [[client_tls]], [outbound_http] and so on
    #[arg(long, value_name = "FILE", help_heading = "Spin")]
    pub runtime_config_file: Option<PathBuf>,

    /// Have the broker deliver to this subscriber too; can be given more than once
    ///
    /// As with a Trigger of Knative's, every attribute has to have exactly its value, and without any every event is
    /// delivered. The answers and the reports, running and ended, have: source=podgateway/eventing/client/provisioner
    #[arg(long = "trigger", value_name = "SUBSCRIBER[,ATTRIBUTE=VALUE]...", help_heading = "Broker")]
    pub triggers: Vec<Trigger>,

    /// Where the provisioner listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:3000", help_heading = "Addresses")]
    pub listen: SocketAddr,
    /// Where the broker takes events in
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:8080", help_heading = "Addresses")]
    pub broker_listen: SocketAddr,
    /// Where the embedded Kubernetes API is for you, without a token, as with `kubectl proxy`
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:8001", help_heading = "Addresses")]
    pub kubernetes_listen: SocketAddr,
    /// Where the page is that shows it all in a browser
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:3001", help_heading = "Addresses")]
    pub page_listen: SocketAddr,
    /// A name that the listeners answer to as well, such as `host.docker.internal`; can be given more than once
    ///
    /// They answer to localhost, 127.0.0.1, [::1] and the addresses above, each with any port, and refuse a request with
    /// another Host, or one that a site of another origin could make a browser send: what they do, they do for everybody
    /// who reaches them.
    #[arg(long = "allowed-host", value_name = "NAME", value_parser = host_name, help_heading = "Addresses")]
    pub allowed_hosts: Vec<String>,

    /// How stdout says what happens
    ///
    /// `json` is one object a line. The first has the addresses: `page`, `provisioner`, `broker` and `kubernetes`. Each line after
    /// it has `at` and `kind`, and is a step of an event (`received`, `unmatched`, `delivered`, `retry`, `reply`,
    /// `deadLettered`, `deadLetterSink`), with the `event`; a change of a Pod (`podCreated`, `podReleased`, `podUpdated`,
    /// `podDeleted`), with the `pod`; or `missed`, with the `count` of those that came too fast to be printed. With --check
    /// it is one array, with `gateway`, `injected`, `address`, `problem` and `advice` of each; `address` and `problem` may be
    /// null, and `advice` is an array of texts. Errors are one line of text on stderr in any case, and the exit code tells.
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t, help_heading = "Output")]
    pub output: Output,
    /// Print the completions for a shell and end
    #[arg(long, value_name = "SHELL", exclusive = true, help_heading = "Output")]
    pub completions: Option<Shell>,
    /// Print the manual page and end; read it with `man -l`
    #[arg(long, exclusive = true, help_heading = "Output")]
    pub man: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port: 127.0.0.1:3000".to_owned())
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

impl Args {
    /// Who may reach what listens.
    pub fn doors(&self) -> Doors {
        let addresses = [self.listen, self.broker_listen, self.kubernetes_listen, self.page_listen];
        Doors::new(self.allowed_hosts.clone(), addresses.map(|address| address.ip()))
    }

    /// What they ask to have printed instead of anything being run: completions, or the manual page.
    pub fn page(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(shell) = self.completions {
            let mut command = Self::command();
            let name = command.get_name().to_owned();
            generate(shell, &mut command, name, &mut text);
        } else if self.man {
            // Beside a name as long as this there is no room for the manual's.
            Man::new(Self::command()).manual(" ").render(&mut text).expect("a Vec takes everything");
        }
        (!text.is_empty()).then_some(text)
    }

    /// The values of the variables that the flags set, the later one winning.
    pub fn flags(&self) -> impl Iterator<Item = (String, String)> {
        let named = [
            ("client_namespace", &self.client_namespace),
            ("client_command", &self.client_command),
            ("client_image", &self.client_image),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        self.variables.clone().into_iter().chain(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_named_flag_wins_over_a_variable() {
        let args =
            Args::parse_from(["x", "--variable", "client_image=a", "--client-image=b", "--variable", "k_sink=c=d"]);
        let flags: std::collections::BTreeMap<_, _> = args.flags().collect();
        assert_eq!((flags["client_image"].as_str(), flags["k_sink"].as_str()), ("b", "c=d"));
        assert!(Args::try_parse_from(["x", "--variable", "nothing"]).is_err());
    }

    #[test]
    fn a_trigger_can_be_given_more_than_once_and_a_bad_one_is_refused() {
        let args = Args::parse_from(["x", "--trigger", "http://h:1/,type=t,causationid=1", "--trigger=http://h:2/"]);
        let subscribers: Vec<_> = args.triggers.iter().map(|trigger| trigger.subscriber.to_string()).collect();
        assert_eq!(subscribers, ["http://h:1/", "http://h:2/"]);
        let error = Args::try_parse_from(["x", "--trigger", "type=t"]).unwrap_err().to_string();
        assert!(error.contains("--trigger") && error.contains("cannot be delivered to"), "{error}");
    }

    #[test]
    fn an_address_that_is_none_is_told_how_to_write_one() {
        for text in ["localhost:3000", ":3000", "3000", "127.0.0.1"] {
            let error = Args::try_parse_from(["x", "--listen", text]).unwrap_err().to_string();
            assert!(error.contains("write an IP address and a port: 127.0.0.1:3000"), "{error}");
        }
    }

    /// What was broken by hand would be broken twice on a terminal that is narrower.
    #[test]
    fn a_sentence_of_the_help_is_broken_only_where_its_line_is_full() {
        for width in [60, 80, 100] {
            let help = Args::command().term_width(width).render_long_help().to_string();
            let lines: Vec<&str> = help.lines().collect();
            // What is indented is a flag, or an example to be copied as it is.
            let is_text = |line: &&str| line.starts_with(|first: char| first.is_alphanumeric());
            for pair in lines.windows(2).filter(|pair| pair.iter().all(is_text)) {
                let next = pair[1].split(' ').next().unwrap();
                assert!(pair[0].len() + 1 + next.len() > width, "at {width}: {pair:#?}");
            }
            let longest = lines.iter().map(|line| line.len()).max().unwrap();
            assert!(longest <= width.max(80), "{longest} at {width}");
        }
    }

    #[test]
    fn the_help_says_what_the_embedded_api_is_not() {
        assert!(Args::command().render_long_help().to_string().replace('\n', " ").contains("not a cluster"));
    }
    fn page(arguments: &[&str]) -> String {
        let args = Args::parse_from([&["x"], arguments].concat());
        String::from_utf8(args.page().unwrap()).unwrap()
    }

    fn long_flags() -> Vec<String> {
        let mut command = Args::command();
        command.build();
        let flags: Vec<_> = command.get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
        assert!(flags.len() > 10 && flags.contains(&"help".to_owned()), "{flags:?}");
        flags
    }

    #[test]
    fn the_completions_of_every_shell_know_every_flag() {
        for shell in Shell::value_variants() {
            let script = page(&["--completions", &shell.to_string()]);
            for flag in long_flags() {
                // Fish has its flags without dashes.
                let forms = [format!("--{flag}"), format!("-l {flag}")];
                assert!(forms.iter().any(|form| script.contains(form)), "{shell} does not know --{flag}");
            }
        }
    }

    #[test]
    fn the_manual_page_has_every_flag() {
        let page = page(&["--man"]).replace("\\-", "-");
        assert!(page.contains(".TH cloudevents-podgateway-client-provisioner 1"), "{page}");
        for flag in long_flags() {
            // In bold: as a flag, and not only in a sentence.
            assert!(page.contains(&format!("\\fB--{flag}\\fR")), "--{flag} is not in the manual page");
        }
    }

    #[test]
    fn a_page_is_asked_for_alone() {
        assert!(Args::parse_from(["x"]).page().is_none());
        assert!(Args::try_parse_from(["x", "--man", "--check"]).is_err());
    }
}
