//! One table of a file, field by field: [`Section`]. Each field is read with its bounds, and what is left over at the end is unknown.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use toml::{Table, Value};

use super::error::{NodeFileError, Wrong};

/// No setting lasts longer.
const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A table, of which fields are taken out.
pub(super) struct Section {
    /// With a dot at the end, unless it is the whole file.
    prefix: String,
    table: Table,
    known: Vec<&'static str>,
}

impl Section {
    pub(super) fn whole(table: Table) -> Self {
        Self {
            prefix: String::new(),
            table,
            known: Vec::new(),
        }
    }

    /// The name of a field of this section, with those of the sections around it.
    pub(super) fn field(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn wrong(&self, name: &str, wrong: Wrong) -> NodeFileError {
        NodeFileError::new(self.field(name), wrong)
    }

    fn out_of_bounds(
        &self,
        name: &str,
        found: impl Display,
        bound: impl Into<String>,
    ) -> NodeFileError {
        let (found, bound) = (found.to_string(), bound.into());
        self.wrong(name, Wrong::Value { found, bound })
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        wanted: &'static str,
        read: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, NodeFileError> {
        self.known.push(name);
        let Some(value) = self.table.remove(name) else {
            return Ok(None);
        };
        read(value).map(Some).map_err(|value| {
            let found = value.type_str();
            self.wrong(name, Wrong::Type { wanted, found })
        })
    }

    /// A section in this one; an empty one if it is not there.
    pub(super) fn section(&mut self, name: &'static str) -> Result<Self, NodeFileError> {
        let table = self.take(name, "a table", |value| match value {
            Value::Table(table) => Ok(table),
            other => Err(other),
        })?;
        Ok(Self {
            prefix: format!("{}.", self.field(name)),
            table: table.unwrap_or_default(),
            known: Vec::new(),
        })
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, NodeFileError> {
        self.take(name, "a text", text)
    }

    /// A text that has to be there.
    pub(super) fn needed(&mut self, name: &'static str) -> Result<String, NodeFileError> {
        self.text(name)?
            .ok_or_else(|| self.wrong(name, Wrong::Missing))
    }

    /// A text that can be read as something.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        bound: &'static str,
    ) -> Result<Option<T>, NodeFileError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let parsed = text.parse();
        parsed
            .map(Some)
            .map_err(|_| self.out_of_bounds(name, format_args!("{text:?}"), bound))
    }

    /// Texts that can be read as something each.
    pub(super) fn parsed_list<T: FromStr>(
        &mut self,
        name: &'static str,
        bound: &'static str,
    ) -> Result<Vec<T>, NodeFileError> {
        let texts: Option<Vec<String>> =
            self.take(name, "a list of texts", |value| match value {
                Value::Array(items) => items.into_iter().map(text).collect(),
                other => Err(other),
            })?;
        let texts = texts.unwrap_or_default().into_iter();
        texts
            .map(|text| {
                text.parse()
                    .map_err(|_| self.out_of_bounds(name, format_args!("{text:?}"), bound))
            })
            .collect()
    }

    /// Pairs of texts.
    pub(super) fn pairs(
        &mut self,
        name: &'static str,
    ) -> Result<BTreeMap<String, String>, NodeFileError> {
        let pairs = self.take(name, "a table of texts", |value| match value {
            Value::Table(table) => table
                .into_iter()
                .map(|(key, value)| text(value).map(|value| (key, value)))
                .collect(),
            other => Err(other),
        })?;
        Ok(pairs.unwrap_or_default())
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, NodeFileError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| *word == text);
        match found {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let bound = format!("one of {}", known.join(", "));
                Err(self.out_of_bounds(name, format_args!("{text:?}"), bound))
            }
        }
    }

    pub(super) fn is(&mut self, name: &'static str, field: &mut bool) -> Result<(), NodeFileError> {
        let found = self.take(name, "true or false", |value| value.as_bool().ok_or(value))?;
        *field = found.unwrap_or(*field);
        Ok(())
    }

    /// A whole number within bounds.
    pub(super) fn count<T>(
        &mut self,
        name: &'static str,
        field: &mut T,
        bounds: RangeInclusive<T>,
    ) -> Result<(), NodeFileError>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let found = self.take(name, "a whole number", |value| {
            value.as_integer().ok_or(value)
        })?;
        let Some(number) = found else {
            return Ok(());
        };
        match T::try_from(number) {
            Ok(number) if bounds.contains(&number) => {
                *field = number;
                Ok(())
            }
            _ => {
                let bound = format!("from {} to {}", bounds.start(), bounds.end());
                Err(self.out_of_bounds(name, number, bound))
            }
        }
    }

    /// A number within bounds.
    pub(super) fn factor(
        &mut self,
        name: &'static str,
        field: &mut f64,
        bounds: RangeInclusive<f64>,
    ) -> Result<(), NodeFileError> {
        let found = self.take(name, "a number", |value| match value {
            Value::Float(number) => Ok(number),
            Value::Integer(number) => Ok(number as f64),
            other => Err(other),
        })?;
        let Some(number) = found else {
            return Ok(());
        };
        if !bounds.contains(&number) {
            let bound = format!("from {} to {}", bounds.start(), bounds.end());
            return Err(self.out_of_bounds(name, number, bound));
        }
        *field = number;
        Ok(())
    }

    /// A duration of at least `min`.
    pub(super) fn time(
        &mut self,
        name: &'static str,
        field: &mut Duration,
        min: Duration,
    ) -> Result<(), NodeFileError> {
        let Some(text) = self.take(name, "a text such as \"500ms\" or \"2s\"", text)? else {
            return Ok(());
        };
        match duration(&text) {
            Some(time) if (min..=DURATION_MAX).contains(&time) => {
                *field = time;
                Ok(())
            }
            _ => {
                let bound = format!(
                    "a whole number of ms, s, m, h or d, from {min:?} to 30d, as \"500ms\" or \"2s\""
                );
                Err(self.out_of_bounds(name, format_args!("{text:?}"), bound))
            }
        }
    }

    /// Everything has been taken out that there can be.
    pub(super) fn end(self) -> Result<(), NodeFileError> {
        match self.table.keys().next() {
            Some(name) => {
                let mut known = self.known.clone();
                known.sort_unstable();
                Err(self.wrong(name, Wrong::Unknown { known }))
            }
            None => Ok(()),
        }
    }
}

fn text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(other),
    }
}

/// A whole number with its unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(unit_ms)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, expected_ms) in [
            ("0ms", Some(0)),
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("2 s", Some(2000)),
            ("3m", Some(180_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("", None),
            ("2", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("2 weeks", None),
            ("99999999999999999999s", None),
            ("9999999999999999999s", None),
        ] {
            let expected = expected_ms.map(Duration::from_millis);
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }
}
