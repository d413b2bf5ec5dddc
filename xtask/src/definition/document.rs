//! A TOML document whose values have numbers, so that a refused one can be found and changed. serde's errors tell a
//! span only, and a span may belong to several values or to none; here the span of every key and value is its number.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::place::Place;

/// A document that can be changed.
pub(super) struct Document<'i> {
    root: Spanned<DeTable<'i>>,
    /// By number; the document itself has the number 0.
    places: Vec<Place>,
}

/// A key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(usize);

/// What is done to one.
enum Change<'i> {
    Remove,
    Put(Spanned<DeValue<'i>>),
    Rename(String),
}

impl<'i> Document<'i> {
    pub(super) fn new(table: DeTable<'i>) -> Self {
        let mut places = vec![Place::default()];
        let root = number_table(&mut places, table, &Place::default());
        Document { root: Spanned::new(0..0, root), places }
    }

    /// How many keys and values it has.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Reads it as a `T`, or says what was refused and why.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, (Number, String)> {
        T::deserialize(toml::Deserializer::from(self.root.clone())).map_err(|error| {
            let number = error.span().map_or(0, |span| span.start);
            let number = self.item_refused(number, error.message()).unwrap_or(number);
            (Number(number), error.message().to_owned())
        })
    }

    /// Where it stood in the file.
    pub(super) fn place(&self, number: Number) -> Option<&Place> {
        self.places.get(number.0)
    }

    /// The value at `place`.
    pub(super) fn at(&self, place: &Place) -> Option<Number> {
        self.places.iter().position(|known| known == place).map(Number)
    }

    /// Adds a value to the table that has this number.
    pub(super) fn insert(&mut self, table: Number, key: &str, value: DeValue<'static>) -> bool {
        let Some(place) = self.place(table).cloned() else { return false };
        let value = number_value(&mut self.places, Spanned::new(0..0, value), place.key(key));
        let root = self.root.get_mut();
        let table = if table.0 == 0 { Some(root) } else { find_table(root, table.0) };
        let Some(table) = table else { return false };
        table.insert(Spanned::new(0..0, key.to_owned().into()), value);
        true
    }

    /// Puts `value` there, or takes away what is there.
    pub(super) fn replace(&mut self, number: Number, value: Option<DeValue<'static>>) -> bool {
        let Some(place) = self.place(number).cloned() else { return false };
        let change = match value {
            Some(value) => Change::Put(number_value(&mut self.places, Spanned::new(0..0, value), place)),
            None => Change::Remove,
        };
        self.change(number, change)
    }

    /// Gives the key another name.
    pub(super) fn rename(&mut self, key: Number, name: &str) -> bool {
        self.change(key, Change::Rename(name.to_owned()))
    }

    fn change(&mut self, number: Number, change: Change<'i>) -> bool {
        number.0 != 0 && change_in_table(self.root.get_mut(), number.0, &mut Some(change))
    }

    /// The item of the list with this number that `message` quotes: what a type says about a string of a list comes
    /// without the item's span.
    fn item_refused(&self, number: usize, message: &str) -> Option<usize> {
        fn find<'a, 'i>(value: &'a Spanned<DeValue<'i>>, number: usize) -> Option<&'a DeArray<'i>> {
            match value.as_ref() {
                DeValue::Array(array) if value.span().start == number => Some(array),
                DeValue::Array(array) => array.iter().find_map(|item| find(item, number)),
                DeValue::Table(table) => table.iter().find_map(|(_, value)| find(value, number)),
                _ => None,
            }
        }
        let array = self.root.as_ref().iter().find_map(|(_, value)| find(value, number))?;
        let is_quoted = |text: &str| message.starts_with(&format!("`{text}`"));
        array.iter().find(|item| item.as_ref().as_str().is_some_and(is_quoted)).map(|item| item.span().start)
    }
}

fn number_place(places: &mut Vec<Place>, place: Place) -> std::ops::Range<usize> {
    places.push(place);
    places.len() - 1..places.len()
}

fn number_table<'i>(places: &mut Vec<Place>, table: DeTable<'i>, place: &Place) -> DeTable<'i> {
    let mut numbered = DeTable::new();
    for (key, value) in table {
        let here = place.clone().key(key.as_ref());
        let key = Spanned::new(number_place(places, here.clone().name()), key.into_inner());
        numbered.insert(key, number_value(places, value, here));
    }
    numbered
}

fn number_value<'i>(places: &mut Vec<Place>, value: Spanned<DeValue<'i>>, place: Place) -> Spanned<DeValue<'i>> {
    let number = number_place(places, place.clone());
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(number_table(places, table, &place)),
        DeValue::Array(array) => {
            let items = array.into_iter().enumerate();
            DeValue::Array(items.map(|(index, item)| number_value(places, item, place.clone().index(index))).collect())
        }
        plain => plain,
    };
    Spanned::new(number, value)
}

fn find_table<'a, 'i>(table: &'a mut DeTable<'i>, number: usize) -> Option<&'a mut DeTable<'i>> {
    fn find_in<'a, 'i>(value: &'a mut Spanned<DeValue<'i>>, number: usize) -> Option<&'a mut DeTable<'i>> {
        let is_it = value.span().start == number;
        match value.get_mut() {
            DeValue::Table(table) => {
                if is_it {
                    Some(table)
                } else {
                    find_table(table, number)
                }
            }
            DeValue::Array(array) => array.iter_mut().find_map(|item| find_in(item, number)),
            _ => None,
        }
    }
    table.iter_mut().find_map(|(_, value)| find_in(value, number))
}

/// Takes `change` once it is done.
fn change_in_table<'i>(table: &mut DeTable<'i>, number: usize, change: &mut Option<Change<'i>>) -> bool {
    let found = table.iter().find(|(key, value)| key.span().start == number || value.span().start == number);
    let Some(key) = found.map(|(key, _)| key.clone()) else {
        return table.iter_mut().any(|(_, inside)| change_in_value(inside, number, change));
    };
    match change.take() {
        Some(Change::Put(value)) => {
            table.insert(key, value);
        }
        Some(Change::Rename(name)) => {
            if let Some(value) = table.remove(&key) {
                table.insert(Spanned::new(key.span(), name.into()), value);
            }
        }
        Some(Change::Remove) | None => {
            table.remove(&key);
        }
    }
    true
}

fn change_in_value<'i>(inside: &mut Spanned<DeValue<'i>>, number: usize, change: &mut Option<Change<'i>>) -> bool {
    match inside.get_mut() {
        DeValue::Table(table) => change_in_table(table, number, change),
        DeValue::Array(array) => {
            let Some(index) = array.iter().position(|item| item.span().start == number) else {
                return array.iter_mut().any(|item| change_in_value(item, number, change));
            };
            let mut items: Vec<_> = std::mem::replace(array, DeArray::new()).into_iter().collect();
            match change.take() {
                Some(Change::Put(value)) => items[index] = value,
                Some(Change::Remove | Change::Rename(_)) | None => drop(items.remove(index)),
            }
            *array = items.into_iter().collect();
            true
        }
        _ => false,
    }
}
