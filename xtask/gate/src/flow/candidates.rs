//! What waits to be tested: tips, or each commit, and what their commits say that they need of other trees.

use std::collections::{BTreeMap, BTreeSet};

use super::{Gate, Ran};
use crate::classify::Outcome;
use crate::error::Result;
use crate::model::{Blessing, FlightNo, FlightState, Revision, Tuple};
use crate::world::World;

/// Something that is pushed as a whole: one tree, with those that its commits depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Where each of its trees goes.
    pub(super) moves: BTreeMap<String, Revision>,
    /// Its tuple failed, or was pushed, before.
    pub(super) had_its_turn: bool,
}

/// Everything that waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// What can be tested; of several trees that first whose tip was not tested for longest.
    pub(super) candidates: Vec<Candidate>,
    /// What cannot, each with the reason.
    pub(super) held: Vec<Ran>,
}

impl<W: World> Gate<'_, W> {
    /// What waits on top of a tested tuple that has all trees.
    pub(super) fn waiting(&mut self, tested: &Tuple) -> Result<Waiting> {
        let plan = self.plan;
        let mut waiting = Waiting::default();
        let mut by_tree: Vec<(Option<FlightNo>, Vec<Candidate>)> = Vec::new();
        for tree in plan.trees.iter().filter(|tree| tree.moves) {
            let name = &tree.name;
            let (tip, old) = (self.world.candidate(name)?, tested.0.get(name));
            let Some(old) = old.filter(|old| **old != tip) else { continue };
            if !tree.rebasing && !self.world.contains(name, &tip, old)? {
                let (tree, tested) = (name.clone(), old.clone());
                waiting.held.push(Ran::Rewound { tree, candidate: tip, tested });
                continue;
            }
            let mut found = Vec::new();
            for revision in self.revisions(tested, name, &tip)? {
                match self.with_needed(tested, name, &revision)? {
                    Ok(moves) => {
                        let had_its_turn = self.had_its_turn(&on_top(tested, &moves))?;
                        found.push(Candidate { moves, had_its_turn });
                    }
                    Err(why) => {
                        // What is on top of it needs the same.
                        waiting.held.push(Ran::Unmet { tree: name.clone(), candidate: revision, why });
                        break;
                    }
                }
            }
            // Each once; when all had their turn, the newest once more.
            let left: Vec<Candidate> = match found.iter().all(|candidate| candidate.had_its_turn) {
                true => found.last().cloned().into_iter().collect(),
                false => found.iter().filter(|candidate| !candidate.had_its_turn).cloned().collect(),
            };
            if let Some(last) = found.last() {
                let flights = self.store.flights_of(&plan.branch, &on_top(tested, &last.moves))?;
                by_tree.push((flights.first().map(|(flight, _)| *flight), left));
            }
        }
        by_tree.sort_by_key(|(last, _)| *last);
        waiting.candidates = by_tree.into_iter().flat_map(|(_, candidates)| candidates).collect();
        Ok(waiting)
    }

    /// The candidates of a tree, oldest first.
    fn revisions(&mut self, tested: &Tuple, tree: &str, tip: &Revision) -> Result<Vec<Revision>> {
        if !self.plan.policy.each_commit {
            return Ok(vec![tip.clone()]);
        }
        let row = self.world.row(tested, &tested.with(tree, tip))?;
        Ok(row.iter().skip(1).filter_map(|tuple| tuple.0.get(tree).cloned()).collect())
    }

    /// It was judged by what it is, not by what a machine could not do.
    fn had_its_turn(&self, tuple: &Tuple) -> Result<bool> {
        for (number, blessing) in self.store.flights_of(&self.plan.branch, tuple)? {
            let flight = self.store.flight(number)?;
            let is_judged = flight.state == FlightState::Done && blessing == Blessing::Real;
            if is_judged && flight.outcome.as_deref() == Some(Outcome::Regressions.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The moves that a candidate's commits ask for, and its own; or why it has to wait for somebody.
    fn with_needed(
        &mut self,
        tested: &Tuple,
        tree: &str,
        candidate: &Revision,
    ) -> Result<Result<BTreeMap<String, Revision>, String>> {
        let mut moves = BTreeMap::from([(tree.to_owned(), candidate.clone())]);
        let mut to_read = vec![tree.to_owned()];
        let mut edges: BTreeSet<(String, String)> = BTreeSet::new();
        while let Some(name) = to_read.pop() {
            let (Some(old), Some(new)) = (tested.0.get(&name), moves.get(&name).cloned()) else { continue };
            for needed in self.world.depends_on(&name, old, &new)? {
                let other = needed.tree;
                let what = format!("{name} {} depends on {other} {}", new.short(), needed.revision.short());
                let Some(plan) = self.plan.trees.iter().find(|tree| tree.name == other) else {
                    return Ok(Err(format!("{what}, and the gate has no tree `{other}`")));
                };
                if other != name {
                    edges.insert((name.clone(), other.clone()));
                }
                let has = moves.get(&other).or(tested.0.get(&other)).cloned();
                if let Some(has) = &has
                    && self.world.contains(&other, has, &needed.revision)?
                {
                    continue;
                }
                let tip = self.world.candidate(&other)?;
                if !plan.moves || !self.world.contains(&other, &tip, &needed.revision)? {
                    return Ok(Err(format!("{what}, which is not among the candidates of {other}")));
                }
                // A commit of a branch that was merged may lack what was tested; where it was merged has both.
                let goes = match &has {
                    Some(has) if !self.world.contains(&other, &needed.revision, has)? => tip,
                    _ => needed.revision,
                };
                if let Some(has) = &has
                    && !plan.rebasing
                    && !self.world.contains(&other, &goes, has)?
                {
                    return Ok(Err(format!("{what}, and {other}'s candidate lacks {}, which was tested", has.short())));
                }
                moves.insert(other.clone(), goes);
                to_read.push(other);
            }
        }
        if let Some((one, other)) = edges.iter().find(|(one, other)| reaches(&edges, other, one)) {
            self.world.say(&format!("{one} and {other} depend on one another: they move together"));
        }
        Ok(Ok(moves))
    }

    /// So many tuples, each one candidate on top of the one before. What an earlier one brought already is left out.
    pub(super) fn stack(&mut self, tested: &Tuple, candidates: &[Candidate], most: usize) -> Result<Vec<Tuple>> {
        let mut stack: Vec<Tuple> = Vec::new();
        for candidate in candidates {
            if stack.len() == most {
                break;
            }
            let below = stack.last().unwrap_or(tested);
            let mut tuple = below.clone();
            for (tree, revision) in &candidate.moves {
                let rebases = self.plan.trees.iter().any(|plan| plan.name == *tree && plan.rebasing);
                let brought = below.0.get(tree).filter(|has| tested.0.get(tree) != Some(has));
                let is_newer = match brought.filter(|_| !rebases) {
                    Some(has) => !self.world.contains(tree, has, revision)?,
                    None => true,
                };
                if is_newer {
                    tuple.0.insert(tree.clone(), revision.clone());
                }
            }
            if tuple != *below {
                stack.push(tuple);
            }
        }
        Ok(stack)
    }
}

fn on_top(tested: &Tuple, moves: &BTreeMap<String, Revision>) -> Tuple {
    moves.iter().fold(tested.clone(), |tuple, (tree, revision)| tuple.with(tree, revision))
}

/// Along the edges one comes from `from` to `to`.
fn reaches(edges: &BTreeSet<(String, String)>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for (_, next) in edges.iter().filter(|(one, _)| one == at) {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen.contains(to) && from != to
}
