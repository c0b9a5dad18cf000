//! The enum.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::{
    input::{Input, Names},
    method::Method,
};

pub(super) fn expand(input: &Input) -> TokenStream {
    let names = &input.names;
    let Names {
        message,
        vis,
        generics,
        cfgs,
        ..
    } = names;
    let doc = format!(" What a `{}` is sent.", names.actor);
    let derive = names.derive.iter();
    let where_clause = &generics.where_clause;
    let variants = input.methods.iter().map(|method| variant(method, names));
    let kind = quote_spanned!(names.actor.span()=> enum);
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #(#[derive(#derive)])*
        #vis #kind #message #generics #where_clause {
            #(#variants)*
        }
    }
}

fn variant(method: &Method, names: &Names) -> TokenStream {
    let runtime = &names.runtime;
    let variant = &method.variant;
    let cfgs = method.attributes(&["cfg"]);
    let doc = method.doc(&names.actor);
    let mut fields: Vec<_> = method.fields().map(|(_, ty)| quote!(#ty)).collect();
    if let Some(answer) = method.answer() {
        fields.push(quote!(#runtime::Reply<#answer>));
    }
    if fields.is_empty() {
        quote!(#cfgs #doc #variant,)
    } else {
        quote!(#cfgs #doc #variant(#(#fields),*),)
    }
}
