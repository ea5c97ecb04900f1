//! Every state that a world can get into, breadth first, and the shortest way to each.

use std::fmt::Debug;
use std::hash::Hash;

use indexmap::IndexMap;

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

/// Every state that was visited, with the step that led to it and the place of the state before that.
type Visited<M> = IndexMap<<M as Model>::State, Option<(usize, <M as Model>::Step)>>;

/// Visits every state once: how many there are, and how many steps the longest of the shortest ways has.
///
/// # Errors
/// A property that does not hold, and the shortest way to where it does not, one step a line.
pub fn explore<M: Model>(
    model: &mut M,
    properties: &[Property<M::State>],
) -> Result<(usize, usize), (&'static str, String)> {
    let mut visited: Visited<M> = IndexMap::from_iter([(model.first(), None)]);
    let mut at = 0;
    while let Some((state, _)) = visited.get_index(at) {
        let steps = model.steps(state);
        if let Some((name, _)) = properties.iter().find(|(_, holds)| !holds(state, steps.is_empty())) {
            return Err((name, way::<M>(&visited, at).join("\n")));
        }
        for (step, state) in steps {
            visited.entry(state).or_insert(Some((at, step)));
        }
        at += 1;
    }
    Ok((at, way::<M>(&visited, at - 1).len()))
}

fn way<M: Model>(visited: &Visited<M>, at: usize) -> Vec<String> {
    let steps = std::iter::successors(visited[at].as_ref(), |(before, _)| visited[*before].as_ref());
    let mut way: Vec<_> = steps.map(|(_, step)| format!("{step:?}")).collect();
    way.reverse();
    way
}
