//! What is made of the flags themselves: completions for a shell, and the manual page.

use clap::CommandFactory;
use clap_complete::generate;
use clap_mangen::Man;

use super::args::Args;

/// What the flags ask to have printed instead of anything being run.
pub fn asked_for(args: &Args) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(shell) = args.completions {
        let mut command = Args::command();
        let name = command.get_name().to_owned();
        generate(shell, &mut command, name, &mut text);
    } else if args.man {
        // Beside a name as long as this there is no room for the manual's.
        Man::new(Args::command()).manual(" ").render(&mut text).expect("a Vec takes everything");
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, ValueEnum};
    use clap_complete::Shell;

    fn page(arguments: &[&str]) -> String {
        let args = Args::parse_from([&["x"], arguments].concat());
        String::from_utf8(asked_for(&args).unwrap()).unwrap()
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
        assert!(asked_for(&Args::parse_from(["x"])).is_none());
        assert!(Args::try_parse_from(["x", "--man", "--check"]).is_err());
    }
}
