//! Where a number is: its region, its national form, and whether it is one that is given out.

use super::plans::{self, Plan};
use super::{Phone, Region};

/// A number in its numbering plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Without `+`: `49`.
    pub country_code: &'static str,
    /// The regions whose numbers it fits, the main one of the country code first; without one for numbers of no country.
    /// Several where regions share a code and the table does not tell them apart (`+1 650` fits US and CA).
    pub regions: Vec<Region>,
    /// As it is dialled within its country, with the trunk prefix: `0301234567`. Without one for +1, where nobody writes it.
    pub national: String,
    /// Whether it is in a range that is or may be given out. What is not may still be a number: ranges change.
    pub is_valid: bool,
}

impl Phone {
    /// What the numbering plans say of it. None for a number that no country code begins, of which there is none.
    pub fn place(&self) -> Option<Place> {
        let with_code = |code: &str| plans::all().iter().filter(move |plan| plan.code == code).collect::<Vec<&Plan>>();
        let (code, national, plans) = (1..=3.min(self.digits.len())).find_map(|length| {
            let (code, national) = self.digits.split_at(length);
            let plans = with_code(code);
            plans.first().copied().map(|main| (main.code, national, plans))
        })?;
        let holders: Vec<&&Plan> = plans.iter().filter(|plan| plan.numbers.is(national)).collect();
        let is_valid = !holders.is_empty();
        // Of a number in no range only the country is known.
        let holders = if is_valid { holders } else { plans.first().into_iter().collect() };
        let trunk = plans.first().map_or("", |main| if code == "1" { "" } else { main.trunk });
        Some(Place {
            country_code: code,
            regions: holders.iter().map(|plan| plan.region).filter(|id| id.len() == 2).map(Region).collect(),
            national: format!("{trunk}{national}"),
            is_valid,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::base::phone::parse;

    #[test]
    fn numbers_have_a_place() {
        for (text, code, regions, national, is_valid) in [
            ("+49 30 1234567", "49", &["DE"][..], "0301234567", true),
            ("+1 650 555 1234", "1", &["US", "CA"], "6505551234", true),
            ("+1 555 123 4567", "1", &["US", "CA"], "5551234567", true),
            ("+39 06 1234 5678", "39", &["IT"], "0612345678", true),
            ("+7 800 555 35 35", "7", &["RU", "KZ"], "88005553535", true),
            ("+36 1 234 5678", "36", &["HU"], "0612345678", true),
            ("+34 123 456 789", "34", &["ES"], "123456789", false),
            ("+800 1234 5678", "800", &[], "12345678", true),
        ] {
            let place = parse(text, None).unwrap().place().unwrap();
            let found: Vec<_> = place.regions.iter().map(|region| region.as_str()).collect();
            assert_eq!((place.country_code, &*place.national, place.is_valid), (code, national, is_valid), "{text}");
            assert!(regions.iter().all(|region| found.contains(region)), "{text}: {found:?}");
            assert_eq!(found.first(), regions.first(), "{text}");
        }
    }
}
