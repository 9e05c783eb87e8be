//! The values of `for_each` items while their run is at work: a list that `in:` gave, or a window into the rows that a step
//! left beside the journal, so that a long list takes no more memory than a short one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::scope::scope;
use crate::base::json::kind;
use crate::base::{Json, RunId, limits};
use crate::engine::event::Place;
use crate::engine::frame::StepState;
use crate::engine::ports::{Failure, Store, StoreError};
use crate::engine::state::RunState;
use crate::expr::{Item, Scope};
use crate::plan::{Plan, PlanForEach};

/// Rows that are read at once.
const PAGE: u32 = 256;

/// Pages kept of one list. Items are taken in order; a few wait behind.
const PAGES: usize = 4;

/// Why the items around a place could not be put in scope.
pub enum ValueError {
    Failure(Failure),
    Store(StoreError),
}

impl From<Failure> for ValueError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// By the `for_each`.
#[derive(Default)]
pub struct ItemValues(HashMap<Place, Values>);

enum Values {
    List(Vec<Arc<Json>>),
    Rows { list: String, total: u32, pages: BTreeMap<u32, Vec<Arc<Json>>> },
}

/// The name of the list that an attempt at `place` leaves. An attempt that a crash cut off is made again and may find another
/// source, so each has a name of its own; what the first one wrote is not read.
pub fn list_name(place: &Place, attempt: u32, random: u128) -> String {
    format!("{place}#{attempt}.{:016x}", random as u64)
}

impl ItemValues {
    /// Evaluates `in:` and says how many items there are. `scope` is that of the `for_each` at `place`.
    pub fn count(
        &mut self,
        plan: &Plan,
        each: &PlanForEach,
        place: &Place,
        state: &RunState,
        scope: &Scope,
    ) -> Result<u32, Failure> {
        let values = evaluate(plan, each, place, state, scope)?;
        let total = match &values {
            Values::List(list) => list.len() as u32,
            Values::Rows { total, .. } => *total,
        };
        if total as usize > limits::FOR_EACH_ITEMS {
            let message = format!("for_each.in: {total} items, more than the {} allowed", limits::FOR_EACH_ITEMS);
            return Err(Failure::new("for_each.too_many", message));
        }
        self.0.insert(place.clone(), values);
        Ok(total)
    }

    /// Puts the items of every `for_each` around `place` into `scope`, the outermost first.
    pub async fn fill(
        &mut self,
        plan: &Plan,
        state: &RunState,
        place: &Place,
        store: &dyn Store,
        scope: &mut Scope,
    ) -> Result<(), ValueError> {
        let chain = &plan.blocks[plan.steps[place.step as usize].block].chain;
        for (depth, (owner, item)) in chain.iter().zip(&place.items).enumerate() {
            let owner = Place { step: *owner as u32, items: place.items[..depth].to_vec() };
            let Some(each) = &plan.steps[owner.step as usize].for_each else { continue };
            let value = self.value(plan, state, &owner, each, *item, store, scope).await?;
            scope.items.push(Item { name: each.name.clone(), value, index: *item });
        }
        Ok(())
    }

    /// `outer` holds the items around the `for_each`.
    #[expect(clippy::too_many_arguments, reason = "the parts of one lookup")]
    async fn value(
        &mut self,
        plan: &Plan,
        state: &RunState,
        owner: &Place,
        each: &PlanForEach,
        item: u32,
        store: &dyn Store,
        outer: &Scope,
    ) -> Result<Arc<Json>, ValueError> {
        if !self.0.contains_key(owner) {
            // After a restart: the same names at the same logical time give the same items.
            let Some(StepState::Items(items)) = state.step(plan, owner) else {
                return Err(Failure::new("for_each.lost", "the step has no items").into());
            };
            let mut scope = scope(plan, state, owner, items.began.attempt, items.began.started_at);
            scope.items.clone_from(&outer.items);
            let values = evaluate(plan, each, owner, state, &scope)?;
            self.0.insert(owner.clone(), values);
        }
        let found = match self.0.get_mut(owner) {
            Some(Values::List(list)) => list.get(item as usize).cloned(),
            Some(Values::Rows { list, pages, .. }) => row(state.id, list, pages, item, store).await?,
            None => None,
        };
        found.ok_or_else(|| Failure::new("for_each.lost", format!("there is no item {item} any more")).into())
    }

    /// Forgets the values of a `for_each` that has ended.
    pub fn forget(&mut self, place: &Place) {
        self.0.remove(place);
    }
}

async fn row(
    run: RunId,
    list: &str,
    pages: &mut BTreeMap<u32, Vec<Arc<Json>>>,
    item: u32,
    store: &dyn Store,
) -> Result<Option<Arc<Json>>, ValueError> {
    let page = item / PAGE;
    if !pages.contains_key(&page) {
        let rows = store.rows(run, list, page * PAGE, PAGE).await.map_err(ValueError::Store)?;
        if pages.len() >= PAGES {
            // The oldest is the one that is needed least.
            pages.pop_first();
        }
        pages.insert(page, rows.into_iter().map(Arc::new).collect());
    }
    Ok(pages.get(&page).and_then(|rows| rows.get((item % PAGE) as usize)).cloned())
}

fn evaluate(
    plan: &Plan,
    each: &PlanForEach,
    place: &Place,
    state: &RunState,
    scope: &Scope,
) -> Result<Values, Failure> {
    if let Some(source) = each.source {
        let depth = plan.blocks[plan.steps[source].block].chain.len();
        let source = Place { step: source as u32, items: place.items[..depth].to_vec() };
        if let Some(StepState::Succeeded { rows: Some(total), output, .. }) = state.step(plan, &source) {
            let list = output.as_str().unwrap_or_default().to_string();
            return Ok(Values::Rows { list, total: *total, pages: BTreeMap::new() });
        }
    }
    let found = each.items.eval(scope).map_err(|error| super::execute::expression("for_each.in", &error))?;
    match found {
        Json::Array(values) => Ok(Values::List(values.into_iter().map(Arc::new).collect())),
        other => {
            let kind = kind(&other);
            let help = if other.get("rows").is_some() {
                "; a list this long can only be walked as it is: write `in: steps.<id>`"
            } else {
                ""
            };
            let message = format!("for_each.in: a list is needed, this is {kind}{help}");
            Err(Failure::new("for_each.no_list", message))
        }
    }
}
