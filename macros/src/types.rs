//! What may be the type of a field or an answer, and which parameters of the actor it names.

use std::mem;

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    GenericArgument, GenericParam, Generics, Ident, Lifetime, PathArguments, PredicateType,
    ReturnType, Type, TypeBareFn, TypeImplTrait, TypeInfer, TypePath, TypeReference,
    WherePredicate,
    punctuated::Punctuated,
    visit::{self, Visit},
    visit_mut::{self, VisitMut},
};

use crate::errors::Errors;

/// `Name` of `path::Name<..>`, with what stands between its angle brackets.
pub(crate) fn last_segment(ty: &Type) -> Option<(&Ident, Vec<&Type>)> {
    let Type::Path(TypePath { path, .. }) = ty else {
        return None;
    };
    let last = path.segments.last()?;
    let arguments = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some((&last.ident, arguments))
}

/// The `T` of `Result<T, E>`, or of an alias whose name ends in `Result`. `Some(None)`: an alias that does not say.
pub(crate) fn result_of(ty: &Type) -> Option<Option<&Type>> {
    let (name, arguments) = last_segment(ty)?;
    name.to_string()
        .ends_with("Result")
        .then(|| arguments.first().copied())
}

/// The type behind `->`. `None`: nothing, or `()`.
pub(crate) fn returned(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Type(_, ty) if !is_unit(ty) => Some(ty),
        _ => None,
    }
}

pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Adds an error for each part of `ty` that cannot be in a message.
pub(crate) fn must_be_owned(ty: &Type, errors: &mut Errors) {
    Owned { errors }.visit_type(ty);
}

struct Owned<'a> {
    errors: &'a mut Errors,
}

const BORROWS: &str = "a message outlives the call that sends it, so it cannot borrow: take and return values that are owned \
     (`String`, `Vec<T>`, `Arc<T>`)";

impl<'ast> Visit<'ast> for Owned<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => {
                visit::visit_type_reference(self, reference);
            }
            _ => self.errors.at(reference, BORROWS),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.errors.at(lifetime, BORROWS);
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.errors.at(
            ty,
            "a message has one type, which has to be named: write the type, or `Box<dyn Trait + Send>`; a method \
             that waits is an `async fn`",
        );
    }

    fn visit_type_infer(&mut self, ty: &'ast TypeInfer) {
        self.errors
            .at(ty, "the type becomes part of a message: write it out");
    }

    // The references in `fn(&str)` and `Fn(&str)` are borrowed by whoever calls them.
    fn visit_type_bare_fn(&mut self, _: &'ast TypeBareFn) {}

    fn visit_parenthesized_generic_arguments(
        &mut self,
        _: &'ast syn::ParenthesizedGenericArguments,
    ) {
    }
}

/// `ty` with the type of the actor in place of `Self`, which is another one in the enum and in the client.
pub(crate) fn without_self(ty: &Type, actor: &Type) -> Type {
    let mut ty = ty.clone();
    WithoutSelf { actor }.visit_type_mut(&mut ty);
    ty
}

struct WithoutSelf<'a> {
    actor: &'a Type,
}

impl VisitMut for WithoutSelf<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::Path(TypePath { qself: None, path }) = ty
            && path.segments.first().is_some_and(|s| s.ident == "Self")
        {
            if path.segments.len() == 1 {
                *ty = self.actor.clone();
                return;
            }
            let rest = mem::take(&mut path.segments).into_iter().skip(1);
            path.segments = rest.collect();
            let actor = self.actor;
            *ty = syn::parse_quote!(<#actor>::#path);
        }
        visit_mut::visit_type_mut(self, ty);
    }
}

/// The parameters of the actor that `types` name, with the bounds that name no others: those of the enum and of the client.
pub(crate) fn generics_of<'a>(
    generics: &Generics,
    types: impl Iterator<Item = &'a Type>,
) -> Generics {
    let types: TokenStream = types.map(ToTokens::to_token_stream).collect();
    let others: Vec<_> = generics
        .params
        .iter()
        .filter(|param| !names(types.clone(), name(param)))
        .map(|param| name(param).clone())
        .collect();
    let speaks_of_others = |tokens: TokenStream| {
        let mut others = others.iter();
        names(tokens.clone(), "Self") || others.any(|other| names(tokens.clone(), other))
    };
    let mut kept = generics.clone();
    kept.params = mem::take(&mut kept.params)
        .into_iter()
        .filter(|param| !others.contains(name(param)))
        .collect();
    for param in &mut kept.params {
        if let GenericParam::Type(param) = param {
            retain(&mut param.bounds, |bound| !speaks_of_others(quote!(#bound)));
        }
    }
    if let Some(clause) = &mut kept.where_clause {
        retain(&mut clause.predicates, |predicate| match predicate {
            WherePredicate::Type(PredicateType {
                bounded_ty, bounds, ..
            }) => {
                retain(bounds, |bound| !speaks_of_others(quote!(#bound)));
                !bounds.is_empty() && !speaks_of_others(quote!(#bounded_ty))
            }
            _ => false,
        });
    }
    kept
}

fn retain<T, P: Default>(list: &mut Punctuated<T, P>, mut good: impl FnMut(&mut T) -> bool) {
    let kept = mem::take(list).into_iter();
    list.extend(kept.filter_map(|mut element| good(&mut element).then_some(element)));
}

fn name(param: &GenericParam) -> &Ident {
    match param {
        GenericParam::Type(param) => &param.ident,
        GenericParam::Const(param) => &param.ident,
        GenericParam::Lifetime(param) => &param.lifetime.ident,
    }
}

/// Whether the name `wanted` stands anywhere in `tokens`.
fn names<W: ?Sized>(tokens: TokenStream, wanted: &W) -> bool
where
    Ident: PartialEq<W>,
{
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *wanted,
        TokenTree::Group(group) => names(group.stream(), wanted),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use syn::{ItemImpl, parse_quote};

    use super::*;

    #[test]
    fn self_is_the_actor_wherever_it_stands() {
        let without = |ty: Type| {
            without_self(&ty, &parse_quote!(Counter<T>))
                .to_token_stream()
                .to_string()
        };
        assert_eq!(without(parse_quote!(Self)), "Counter < T >");
        assert_eq!(
            without(parse_quote!(Vec<(Self, u8)>)),
            "Vec < (Counter < T > , u8) >"
        );
        assert_eq!(
            without(parse_quote!(<Self as Iterator>::Item)),
            "< Counter < T > as Iterator > :: Item"
        );
        assert_eq!(
            without(parse_quote!(Option<Self::Item>)),
            "Option < < Counter < T > > :: Item >"
        );
    }

    #[test]
    fn bounds_are_kept_if_they_name_nothing_that_is_left_out() {
        let block: ItemImpl = parse_quote! {
            impl<A: Send + From<B>, B, C: Into<A>, const N: usize> Actor<A, B, C, N>
            where
                A: Clone + Into<B>,
                B: Send,
                [A; N]: Default,
                Self: Sized,
            {}
        };
        let types: [Type; 1] = [parse_quote!(Option<A>)];
        let generics = generics_of(&block.generics, types.iter());
        let where_clause = &generics.where_clause;
        assert_eq!(quote!(#generics).to_string(), "< A : Send >");
        assert_eq!(quote!(#where_clause).to_string(), "where A : Clone");
        let none = generics_of(&block.generics, [].iter());
        let where_clause = &none.where_clause;
        assert_eq!(quote!(#none #where_clause).to_string(), "");
    }
}
