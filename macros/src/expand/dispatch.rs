//! `impl Actor`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::{
    input::{Input, Names},
    method::{self, Answer, Method},
};

pub(super) fn expand(input: &Input) -> TokenStream {
    let names = &input.names;
    let Names { runtime, cfgs, .. } = names;
    let (generics, _, where_clause) = input.block.generics.split_for_impl();
    let actor = &input.block.self_ty;
    let message = names.message_type();
    let error = match &names.error {
        Some(error) => quote!(#error),
        None => quote!(#runtime::Failure),
    };
    let takes_context = input.methods.iter().any(Method::takes_context);
    let cx = local(if takes_context { "cx" } else { "_cx" });
    let msg = local("msg");
    let arms = input.methods.iter().map(|method| arm(method, names, &cx));
    let label = needs_label(input).then(|| label(input));
    // What does not fit the actor is shown at its name.
    let at = names.actor.span();
    let types = quote_spanned! {at=>
        type Msg = #message;
        type Error = #error;
    };
    let handle = quote_spanned! {at=>
        async fn handle(
            &mut self,
            #msg: #message,
            #cx: &mut #runtime::Context<Self>,
        ) -> ::core::result::Result<(), #error>
    };
    let hooks = &input.hooks;
    quote! {
        #(#cfgs)*
        impl #generics #runtime::Actor for #actor #where_clause {
            #types

            #(#hooks)*

            #[allow(clippy::all, deprecated, unreachable_code)]
            #handle {
                match #msg {
                    #(#arms)*
                }
                ::core::result::Result::Ok(())
            }

            #label
        }
    }
}

/// A name that cannot be one of the user's.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn arm(method: &Method, names: &Names, cx: &Ident) -> TokenStream {
    let Method { name, variant, .. } = method;
    let message = &names.message;
    let reply = local("reply");
    let cfgs = method.attributes(&["cfg"]);
    let mut bound: Vec<_> = method.fields().map(|(name, _)| quote!(#name)).collect();
    if method.answer().is_some() {
        bound.push(quote!(#reply));
    }
    let bound = if bound.is_empty() {
        TokenStream::new()
    } else {
        quote!((#(#bound),*))
    };
    let inputs = method.inputs.iter().map(|input| match input {
        method::Input::Context => quote!(#cx),
        method::Input::Reply(_) => quote!(#reply),
        method::Input::Field { name, .. } => quote!(#name),
    });
    // All of it lies at the method, so that errors are shown there; and a failure names the line of its `?`.
    let at = match &method.fails {
        Some(fails) => fails.at,
        None => name.span(),
    };
    let wait = method.is_async.then(|| quote_spanned!(at=> .await));
    let fail = method.fails.as_ref().map(|_| quote_spanned!(at=> ?));
    let call = quote_spanned!(at=> Self::#name(self #(, #inputs)*) #wait #fail);
    let is_alias = method.fails.as_ref().is_some_and(|fails| fails.is_alias);
    let done = match method.answer {
        Answer::Returned(_) => quote!(#reply.send(#call)),
        // Only the compiler knows whether there is a value, and may not pass over it.
        Answer::None | Answer::Replied(_) if is_alias => quote_spanned!(at=> { let () = #call; }),
        Answer::None | Answer::Replied(_) => call,
    };
    quote!(#cfgs #message::#variant #bound => #done,)
}

fn needs_label(input: &Input) -> bool {
    !input.hooks.iter().any(|hook| hook.sig.ident == "label")
}

/// The names of the variants.
fn label(input: &Input) -> TokenStream {
    let names = &input.names;
    let message = names.message_type();
    let name = &names.message;
    let msg = local("msg");
    let arms = input.methods.iter().map(|method| {
        let cfgs = method.attributes(&["cfg"]);
        let variant = &method.variant;
        let label = variant.to_string();
        quote!(#cfgs #name::#variant { .. } => #label,)
    });
    quote! {
        fn label(#msg: &#message) -> &'static str {
            match *#msg {
                #(#arms)*
            }
        }
    }
}
