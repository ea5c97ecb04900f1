//! How much memory this process has: the host, every instance, the API server and the brokers together.

/// Resident memory, in MB.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or_default() / 1000
}

/// How much more the last quarter may have than the second, by which a round's events have had their room.
const SLACK: usize = 24;

/// Prints how memory went; gives whether it is flat.
pub fn is_flat(rounds: &[usize]) -> bool {
    let quarter = rounds.len() / 4;
    let largest = |part: &[usize]| part.iter().copied().max().unwrap_or_default();
    let (early, late) = (largest(&rounds[quarter..2 * quarter]), largest(&rounds[3 * quarter..]));
    println!("memory    {early} MB in the second quarter of the rounds, {late} MB in the last");
    quarter == 0 || late <= early + early / 10 + SLACK
}
