//! The `impl` block, read.

use std::collections::{HashMap, HashSet};

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, GenericParam, Generics, Ident, ImplItem, ImplItemFn, Item, ItemImpl, Path,
    Result, ReturnType, Type, Visibility,
};

use crate::{
    arguments::Arguments,
    errors::Errors,
    method::{self, Mark, Method},
    types::{generics_of, last_segment},
};

/// Everything that is written out again in another form.
pub(crate) struct Input {
    /// The block without our marks and without the hooks.
    pub(crate) block: ItemImpl,
    pub(crate) methods: Vec<Method>,
    pub(crate) hooks: Vec<ImplItemFn>,
    pub(crate) names: Names,
}

/// What the generated items are called and share.
pub(crate) struct Names {
    pub(crate) actor: Ident,
    pub(crate) message: Ident,
    pub(crate) client: Ident,
    /// Of the enum and of the client.
    pub(crate) generics: Generics,
    pub(crate) vis: Visibility,
    pub(crate) error: Option<Type>,
    pub(crate) derive: Option<TokenStream>,
    /// The path of the runtime.
    pub(crate) runtime: TokenStream,
    /// `cfg` attributes of the block.
    pub(crate) cfgs: Vec<Attribute>,
}

const HOOKS: [&str; 3] = ["started", "stopped", "label"];

/// What is to be written, and what was wrong. Where only some methods are wrong the others are still written, so that
/// there is one error for each mistake, and not another one for each use.
pub(crate) struct Output {
    /// `Err`: only this.
    pub(crate) input: std::result::Result<Input, TokenStream>,
    pub(crate) error: Option<Error>,
}

impl Input {
    /// Reads `item`.
    pub(crate) fn read(arguments: Result<Arguments>, item: TokenStream) -> Output {
        let mut block = match block(item.clone()) {
            Ok(block) => block,
            Err(error) => {
                return Output {
                    input: Err(item),
                    error: Some(error),
                };
            }
        };
        let mut errors = Errors::default();
        let arguments = errors.keep(arguments).unwrap_or_default();
        let actor = check_block(&mut block);
        let (methods, hooks) = take_methods(&mut block, &mut errors);
        let methods = check_names(methods, &mut errors);
        let hooks = check_hooks(hooks, &mut errors);
        if methods.is_empty() && errors.is_empty() {
            errors.at(
                &block.self_ty,
                "no method is a message: mark those that are with `#[tell]` or `#[ask]`",
            );
        }
        let input = match actor {
            Ok(actor) => {
                let names = names(arguments, actor, &block, &methods, &mut errors);
                Ok(Self {
                    block,
                    methods,
                    hooks,
                    names,
                })
            }
            Err(error) => {
                errors.add(error);
                Err(block.into_token_stream())
            }
        };
        Output {
            input,
            error: errors.finish().err(),
        }
    }
}

fn block(item: TokenStream) -> Result<ItemImpl> {
    let what = "`actor` goes on an `impl` block of the actor's own methods, `impl Counter { .. }`";
    let block = match syn::parse2(item)? {
        Item::Impl(block) => block,
        other => return Err(Error::new_spanned(other, what)),
    };
    if let Some((_, of, _)) = &block.trait_ {
        let what = format!("{what}, not on that of a trait: `impl Actor` is what it writes");
        return Err(Error::new_spanned(of, what));
    }
    Ok(block)
}

fn take_methods(block: &mut ItemImpl, errors: &mut Errors) -> (Vec<Method>, Vec<ImplItemFn>) {
    let actor = (*block.self_ty).clone();
    let mut methods = Vec::new();
    let mut hooks = Vec::new();
    block.items.retain_mut(|item| {
        let ImplItem::Fn(item) = item else {
            return true;
        };
        match method::take_mark(item, errors) {
            Some(Mark::Hook) => {
                hooks.extend(errors.keep(hook(item)));
                false
            }
            Some(mark) => {
                methods.extend(errors.keep(method::read(item, &mark, &actor)));
                true
            }
            None => {
                refuse_forgotten_hook(item, errors);
                true
            }
        }
    });
    (methods, hooks)
}

fn refuse_forgotten_hook(method: &ImplItemFn, errors: &mut Errors) {
    let name = &method.sig.ident;
    if (name == "started" || name == "stopped") && method::takes_context(method) {
        errors.at(
            name,
            format!("`{name}` would never run: mark it `#[hook]`, or give it another name"),
        );
    }
}

/// A method of the trait, as the trait has it.
fn hook(method: &ImplItemFn) -> Result<ImplItemFn> {
    let mut method = method.clone();
    let signature = &mut method.sig;
    let name = signature.ident.to_string();
    if !HOOKS.contains(&&*name) {
        return Err(Error::new_spanned(
            &signature.ident,
            "the hooks of an actor are `started`, `stopped` and `label`: give it one of these names, or take the \
             `#[hook]` away",
        ));
    }
    if !matches!(method.vis, Visibility::Inherited) {
        return Err(Error::new_spanned(
            &method.vis,
            "the runtime calls a hook, through the trait: leave the visibility out",
        ));
    }
    let is_future = match &signature.output {
        ReturnType::Type(_, ty) => matches!(**ty, Type::ImplTrait(_)),
        ReturnType::Default => false,
    };
    if name != "label" && !is_future {
        signature.asyncness.get_or_insert_default();
    }
    Ok(method)
}

/// The name of the actor. Without one, or with lifetimes, nothing can be written.
fn check_block(block: &mut ItemImpl) -> Result<Ident> {
    let mut errors = Errors::default();
    block.attrs.retain(|attribute| {
        let last = attribute.path().segments.last();
        let is_async_trait = last.is_some_and(|last| last.ident == "async_trait");
        if is_async_trait {
            errors.at(
                attribute,
                "an actor is async without `async_trait`: leave it out",
            );
        }
        !is_async_trait
    });
    for param in &block.generics.params {
        if let GenericParam::Lifetime(lifetime) = param {
            errors.at(
                lifetime,
                "an actor lives as long as it has messages, so it cannot borrow: let it own what it needs, or share \
                 it by an `Arc`",
            );
        }
    }
    let name = last_segment(&block.self_ty).map(|(name, _)| name.clone());
    let name = name.ok_or_else(|| {
        Error::new_spanned(
            &block.self_ty,
            "an actor is a type of one's own, with a name: `impl Counter { .. }`",
        )
    });
    let name = errors.keep(name);
    errors.finish()?;
    name.ok_or_else(|| Error::new_spanned(&block.self_ty, "this type has no name"))
}

fn check_hooks(hooks: Vec<ImplItemFn>, errors: &mut Errors) -> Vec<ImplItemFn> {
    let mut seen = HashSet::new();
    let kept = hooks.into_iter().filter(|hook| {
        let is_conditional = hook.attrs.iter().any(|a| a.path().is_ident("cfg"));
        let is_good = is_conditional || seen.insert(hook.sig.ident.clone());
        if !is_good {
            errors.at(&hook.sig.ident, "this hook is there twice: leave one out");
        }
        is_good
    });
    kept.collect()
}

/// Those methods that do not meet in the enum or in the client.
fn check_names(methods: Vec<Method>, errors: &mut Errors) -> Vec<Method> {
    let tells = methods.iter().filter(|method| method.answer().is_none());
    let tries: HashMap<_, _> = tells
        .map(|method| (method.try_name(), method.name.clone()))
        .collect();
    let mut variants = HashMap::new();
    let kept = methods.into_iter().filter(|method| {
        let (name, variant) = (&method.name, &method.variant);
        let what = if name == "actor_ref" {
            "the client has an `actor_ref` of its own: give the method another name".to_owned()
        } else if let Some(tell) = tries.get(name) {
            format!("the tell `{tell}` gives the client a `{name}` already: rename one of them")
        } else {
            match variants.insert(variant.clone(), name.clone()) {
                None => return true,
                // Methods of one name are for different configurations, or the compiler's to refuse.
                Some(other) if other == *name => return true,
                Some(other) => format!(
                    "`{other}` and `{name}` both give the message `{variant}`: rename one of them"
                ),
            }
        };
        errors.at(name, what);
        false
    });
    kept.collect()
}

fn names(
    arguments: Arguments,
    actor: Ident,
    block: &ItemImpl,
    methods: &[Method],
    errors: &mut Errors,
) -> Names {
    let named = |name: Option<Ident>, end: &str| {
        name.unwrap_or_else(|| Ident::new(&format!("{actor}{end}"), actor.span()))
    };
    let message = named(arguments.message, "Msg");
    let mut client = named(arguments.client, "Client");
    if message == client {
        errors.at(
            &client,
            "the message and its client need names of their own",
        );
        client = named(None, "Client");
    }
    let types = methods
        .iter()
        .flat_map(|method| method.fields().map(|(_, ty)| ty).chain(method.answer()));
    let krate = match &arguments.krate {
        Some(path) => path.to_token_stream(),
        None => quote!(::treewarden),
    };
    Names {
        generics: generics_of(&block.generics, types),
        actor,
        message,
        client,
        vis: arguments.vis.unwrap_or_else(|| widest(methods)),
        error: arguments.error,
        derive: arguments.derive.map(ToTokens::into_token_stream),
        runtime: quote!(#krate::runtime),
        cfgs: block
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("cfg"))
            .cloned()
            .collect(),
    }
}

/// The visibility that includes those of all methods.
fn widest(methods: &[Method]) -> Visibility {
    let mut widest = Visibility::Inherited;
    for method in methods {
        widest = match (widest, &method.vis) {
            (_, Visibility::Public(public)) => return Visibility::Public(*public),
            (Visibility::Public(public), _) => return Visibility::Public(public),
            (widest, Visibility::Inherited) => widest,
            (Visibility::Inherited, vis) => vis.clone(),
            (Visibility::Restricted(one), Visibility::Restricted(other))
                if same(&one.path, &other.path) =>
            {
                Visibility::Restricted(one)
            }
            // Whatever they are restricted to lies in this crate.
            (Visibility::Restricted(_), Visibility::Restricted(_)) => {
                syn::parse_quote!(pub(crate))
            }
        };
    }
    widest
}

fn same(one: &Path, other: &Path) -> bool {
    one.to_token_stream().to_string() == other.to_token_stream().to_string()
}
