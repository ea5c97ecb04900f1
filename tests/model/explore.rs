//! Every state that a world can get into, breadth first, and the shortest way to each.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Something with states and steps between them.
pub trait Model {
    type State: Clone + Eq + Hash;
    type Step: Debug;

    fn first(&self) -> Self::State;
    /// Every step out of a state, and where it leads. A state with none of them is an end.
    fn steps(&mut self, state: &Self::State) -> Vec<(Self::Step, Self::State)>;
}

/// What has to hold of a state; for an end, `true` comes with it.
pub type Property<S> = (&'static str, fn(&S, bool) -> bool);

/// A state, with the one before it and the step between them.
type Visited<M> = (<M as Model>::State, Option<(usize, <M as Model>::Step)>);

/// Visits every state once: how many there are, and how many steps the longest of the shortest ways has.
///
/// # Errors
/// A property that does not hold, and the shortest way to where it does not, one step a line.
pub fn explore<M: Model>(
    model: &mut M,
    properties: &[Property<M::State>],
) -> Result<(usize, usize), (&'static str, String)> {
    let first = model.first();
    let mut seen = HashSet::from([first.clone()]);
    let mut visited: Vec<Visited<M>> = vec![(first, None)];
    let mut at = 0;
    while at < visited.len() {
        let state = visited[at].0.clone();
        let steps = model.steps(&state);
        if let Some((name, _)) = properties.iter().find(|(_, holds)| !holds(&state, steps.is_empty())) {
            return Err((name, way::<M>(&visited, at).join("\n")));
        }
        for (step, state) in steps {
            if !seen.contains(&state) {
                seen.insert(state.clone());
                visited.push((state, Some((at, step))));
            }
        }
        at += 1;
    }
    Ok((at, way::<M>(&visited, at - 1).len()))
}

fn way<M: Model>(visited: &[Visited<M>], at: usize) -> Vec<String> {
    let steps = std::iter::successors(visited[at].1.as_ref(), |(before, _)| visited[*before].1.as_ref());
    let mut way: Vec<_> = steps.map(|(_, step)| format!("{step:?}")).collect();
    way.reverse();
    way
}
