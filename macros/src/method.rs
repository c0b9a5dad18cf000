//! One method: what it is marked with, what it takes, what it answers.

use std::mem::discriminant;

use proc_macro2::Span;
use quote::format_ident;
use syn::{
    Attribute, Error, FnArg, Ident, ImplItemFn, Meta, Pat, PatType, Result, ReturnType, Signature,
    Type, Visibility, spanned::Spanned,
};

use crate::{
    errors::Errors,
    types::{is_unit, last_segment, must_be_owned, result_of, returned, without_self},
};

/// A method that became a message.
pub(crate) struct Method {
    pub(crate) name: Ident,
    pub(crate) variant: Ident,
    pub(crate) vis: Visibility,
    /// `doc`, `cfg` and `deprecated`.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) is_async: bool,
    /// What it is called with, in order.
    pub(crate) inputs: Vec<Input>,
    pub(crate) answer: Answer,
    /// It returns a `Result` whose error ends the incarnation.
    pub(crate) fails: Option<Fails>,
}

pub(crate) struct Fails {
    /// Where it says so.
    pub(crate) at: Span,
    /// By a name that does not show what is in the `Ok`.
    pub(crate) is_alias: bool,
}

pub(crate) enum Input {
    Context,
    /// With the type of its answer.
    Reply(Type),
    Field {
        name: Ident,
        ty: Type,
    },
}

pub(crate) enum Answer {
    /// A tell.
    None,
    /// What it returns.
    Returned(Type),
    /// What it sends to the `Reply` that it takes.
    Replied(Type),
}

impl Method {
    /// The names and types that the message carries beside the reply.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Ident, &Type)> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Field { name, ty } => Some((name, ty)),
            Input::Context | Input::Reply(_) => None,
        })
    }

    pub(crate) fn answer(&self) -> Option<&Type> {
        match &self.answer {
            Answer::None => None,
            Answer::Returned(ty) | Answer::Replied(ty) => Some(ty),
        }
    }

    pub(crate) fn takes_context(&self) -> bool {
        self.inputs
            .iter()
            .any(|input| matches!(input, Input::Context))
    }

    pub(crate) fn try_name(&self) -> Ident {
        format_ident!("try_{}", self.name)
    }
}

/// What a method is marked with.
pub(crate) enum Mark {
    Tell,
    Ask { fails: bool },
    Hook,
}

/// Takes the marks off `method`. More than one is an error.
pub(crate) fn take_mark(method: &mut ImplItemFn, errors: &mut Errors) -> Option<Mark> {
    let mut found = None;
    method.attrs.retain(|attribute| {
        let mark = match attribute
            .path()
            .get_ident()
            .map(Ident::to_string)
            .as_deref()
        {
            Some("tell") => Mark::Tell,
            Some("ask") => Mark::Ask {
                fails: asks_to_fail(attribute, errors),
            },
            Some("hook") => Mark::Hook,
            _ => return true,
        };
        if !matches!(mark, Mark::Ask { .. }) && attribute.meta.require_path_only().is_err() {
            errors.at(&attribute.meta, "this attribute takes no arguments");
        }
        if found.replace(mark).is_some() {
            errors.at(
                attribute,
                "a method is one of `#[tell]`, `#[ask]` and `#[hook]`: leave one",
            );
        }
        false
    });
    found
}

fn asks_to_fail(attribute: &Attribute, errors: &mut Errors) -> bool {
    match &attribute.meta {
        Meta::Path(_) => false,
        meta => {
            let argument = attribute.parse_args::<Ident>();
            let fails = argument.is_ok_and(|argument| argument == "fails");
            if !fails {
                errors.at(
                    meta,
                    "the only argument of `ask` is `fails`: `#[ask(fails)]` answers with the `T` of a `Result<T, E>`, \
                     and an error fails the actor",
                );
            }
            fails
        }
    }
}

/// Reads a method that is marked as a tell or an ask.
pub(crate) fn read(method: &ImplItemFn, mark: &Mark, actor: &Type) -> Result<Method> {
    let mut errors = Errors::default();
    let read = read_with(method, mark, actor, &mut errors);
    errors.finish()?;
    read.ok_or_else(|| Error::new_spanned(&method.sig.ident, "this method could not be read"))
}

fn read_with(
    method: &ImplItemFn,
    mark: &Mark,
    actor: &Type,
    errors: &mut Errors,
) -> Option<Method> {
    let signature = &method.sig;
    check_signature(method, errors);
    let is_ask = matches!(mark, Mark::Ask { .. });
    let mut inputs: Vec<Input> = Vec::new();
    for argument in signature.inputs.iter().filter_map(typed) {
        let Some(input) = input(argument, is_ask, actor, errors) else {
            continue;
        };
        let is_same = |other: &Input| discriminant(other) == discriminant(&input);
        match input {
            Input::Context if inputs.iter().any(is_same) => {
                errors.at(argument, "the context is taken twice: leave one out");
            }
            Input::Reply(_) if inputs.iter().any(is_same) => {
                errors.at(argument, "an ask has one answer: take one `Reply`");
            }
            input => inputs.push(input),
        }
    }
    let replied = inputs.iter().find_map(|input| match input {
        Input::Reply(answer) => Some(answer.clone()),
        Input::Context | Input::Field { .. } => None,
    });
    let (answer, fails) = match (mark, replied) {
        (Mark::Ask { fails }, None) => returned_answer(signature, *fails, actor, errors)?,
        (Mark::Ask { fails: true }, Some(_)) => {
            errors.at(
                &signature.ident,
                "an ask that takes a `Reply` fails with what it returns: write `#[ask]`, and return a `Result<(), E>`",
            );
            return None;
        }
        (_, replied) => {
            let fails = only_fails(&signature.output, replied.is_some(), errors);
            (replied.map_or(Answer::None, Answer::Replied), fails)
        }
    };
    let copied = ["doc", "cfg", "deprecated"];
    Some(Method {
        name: signature.ident.clone(),
        variant: variant(&signature.ident),
        vis: method.vis.clone(),
        attributes: method
            .attrs
            .iter()
            .filter(|attribute| copied.iter().any(|name| attribute.path().is_ident(name)))
            .cloned()
            .collect(),
        is_async: signature.asyncness.is_some(),
        inputs,
        answer,
        fails,
    })
}

/// One argument. `None`: it cannot be in a message.
fn input(argument: &PatType, is_ask: bool, actor: &Type, errors: &mut Errors) -> Option<Input> {
    let ty = &*argument.ty;
    if behind_reference(ty).is_some_and(|ty| names_last(ty, "Context")) {
        return Some(Input::Context);
    }
    if is_context(ty) {
        let what = "the context is lent to the method: take `cx: &mut Context<Self>`";
        errors.at(ty, what);
        return None;
    }
    must_be_owned(ty, errors);
    for attribute in argument.attrs.iter().filter(|a| a.path().is_ident("cfg")) {
        let what = "an argument of a message is always there: put the `cfg` on the method";
        errors.at(attribute, what);
    }
    if is_ask && let Some(answer) = reply_of(ty) {
        return Some(Input::Reply(without_self(answer, actor)));
    }
    match &*argument.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(Input::Field {
            name: pat.ident.clone(),
            ty: without_self(ty, actor),
        }),
        pat => {
            errors.at(
                pat,
                "an argument of a message needs a name: write `name: Type`, and take it apart in the body",
            );
            None
        }
    }
}

fn check_signature(method: &ImplItemFn, errors: &mut Errors) {
    let signature = &method.sig;
    let lent = "a message is handled by the actor where it is: take `&mut self` or `&self`";
    match signature.receiver() {
        None => errors.at(&signature.ident, lent),
        Some(receiver) => {
            let is_lent = match &*receiver.ty {
                Type::Reference(reference) => names_last(&reference.elem, "Self"),
                _ => false,
            };
            if !is_lent {
                errors.at(receiver, lent);
            }
        }
    }
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "a message has one type, so its method has no parameters of its own: put them on the actor, or take a \
             `Box<dyn Trait + Send>`",
        );
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.at(
            clause,
            "a `where` clause of a message belongs on the `impl` block",
        );
    }
    if let Some(unsafety) = &signature.unsafety {
        errors.at(
            unsafety,
            "anyone can send a message, so its method cannot be `unsafe`",
        );
    }
}

fn typed(argument: &FnArg) -> Option<&PatType> {
    match argument {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    }
}

pub(crate) fn takes_context(method: &ImplItemFn) -> bool {
    method
        .sig
        .inputs
        .iter()
        .filter_map(typed)
        .any(|argument| behind_reference(&argument.ty).is_some_and(|ty| names_last(ty, "Context")))
}

fn behind_reference(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) => Some(&reference.elem),
        _ => None,
    }
}

fn names_last(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|(last, _)| last == name)
}

/// Whether `ty` is `Context<..>`. Other things are called `Context` as well.
fn is_context(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|(last, arguments)| last == "Context" && !arguments.is_empty())
}

/// The `T` of `Reply<T>`.
fn reply_of(ty: &Type) -> Option<&Type> {
    let (name, arguments) = last_segment(ty)?;
    match *arguments {
        [answer] if name == "Reply" => Some(answer),
        _ => None,
    }
}

/// The answer of an ask that returns it.
fn returned_answer(
    signature: &Signature,
    fails: bool,
    actor: &Type,
    errors: &mut Errors,
) -> Option<(Answer, Option<Fails>)> {
    let unit = syn::parse_quote!(());
    let returned = returned(&signature.output);
    let ty = returned.unwrap_or(&unit);
    must_be_owned(ty, errors);
    if !fails {
        return Some((Answer::Returned(without_self(ty, actor)), None));
    }
    let Some(Some(answer)) = result_of(ty) else {
        let what = "`#[ask(fails)]` answers with the `T` of a `Result<T, E>`, and an error fails the actor: return such a \
             `Result`, or write `#[ask]`";
        match returned {
            Some(ty) => errors.at(ty, what),
            None => errors.at(&signature.ident, what),
        }
        return None;
    };
    Some((
        Answer::Returned(without_self(answer, actor)),
        Some(Fails {
            at: ty.span(),
            is_alias: false,
        }),
    ))
}

/// What a method may return that answers nothing: nothing, or an error.
fn only_fails(output: &ReturnType, replies: bool, errors: &mut Errors) -> Option<Fails> {
    let ty = returned(output)?;
    let of = result_of(ty);
    let is_unit = matches!(of, Some(Some(of)) if is_unit(of));
    let is_alias = of.is_some()
        && !is_unit
        && last_segment(ty).is_some_and(|(name, of)| name != "Result" || of.is_empty());
    if is_unit || is_alias {
        return Some(Fails {
            at: ty.span(),
            is_alias,
        });
    }
    errors.at(
        ty,
        if replies {
            "an ask that takes a `Reply` answers through it: return nothing, or a `Result<(), E>` whose error fails the actor"
        } else {
            "a tell has no answer: return nothing, or a `Result<(), E>` whose error fails the actor; or write `#[ask]`"
        },
    );
    None
}

/// `add_all` becomes `AddAll`.
fn variant(method: &Ident) -> Ident {
    let name = method.to_string();
    let name: String = name
        .trim_start_matches("r#")
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            first.chain(letters).collect::<Vec<_>>()
        })
        .collect();
    // `_1` would give a number.
    match name.chars().next() {
        Some(first) if !first.is_numeric() => Ident::new(&name, method.span()),
        _ => format_ident!("_{name}", span = method.span()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_named_after_its_method() {
        let named = |name: &str| variant(&syn::parse_str(name).unwrap()).to_string();
        assert_eq!(named("add"), "Add");
        assert_eq!(named("add_all"), "AddAll");
        assert_eq!(named("_x"), "X");
        assert_eq!(named("_1"), "_1");
        assert_eq!(named("r#type"), "Type");
    }
}
