//! Functions and their types from a compiled component, where calls find them.

use wasmtime::component::{
    Component,
    types::{self, ComponentFunc, ComponentItem},
};

use super::{
    Exported, Function, Int, LOOKED_AT, Place, Type,
    types::{Allowance, Unfit, no_json},
};

/// The same as [`functions_of_bytes`](super::functions_of_bytes) finds in the component's bytes.
pub(crate) fn functions_of_component(component: &Component) -> Vec<Exported> {
    let engine = component.engine();
    let exported = component.component_type();
    let mut found = Vec::new();
    for (name, item) in exported.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(function) => found.push(Exported {
                place: Place::top(name),
                function: read(&function),
            }),
            ComponentItem::ComponentInstance(instance) => {
                let left = LOOKED_AT.saturating_sub(found.len());
                let functions =
                    instance
                        .exports(engine)
                        .filter_map(|(inner, item)| match item.ty {
                            ComponentItem::ComponentFunc(function) => Some(Exported {
                                place: Place::inside(name, inner),
                                function: read(&function),
                            }),
                            _ => None,
                        });
                found.extend(functions.take(left));
            }
            _ => {}
        }
        if found.len() >= LOOKED_AT {
            break;
        }
    }
    found
}

fn read(function: &ComponentFunc) -> Result<Function, Unfit> {
    if function.async_() {
        return Err("it is asynchronous".to_owned());
    }
    let mut allowance = Allowance::new();
    let params = function
        .params()
        .map(|(name, ty)| Ok((allowance.name(name)?, of(&ty, &mut allowance)?)))
        .collect::<Result<Vec<_>, Unfit>>()?;
    let result = function
        .results()
        .next()
        .map(|ty| of(&ty, &mut allowance))
        .transpose()?;
    Ok(Function { params, result })
}

fn of(ty: &types::Type, allowance: &mut Allowance) -> Result<Type, Unfit> {
    allowance.inside(|allowance| plain(ty).map_or_else(|| compound(ty, allowance), Ok))
}

fn plain(ty: &types::Type) -> Option<Type> {
    Some(match ty {
        types::Type::Bool => Type::Bool,
        types::Type::S8 => Type::Int(Int::S8),
        types::Type::U8 => Type::Int(Int::U8),
        types::Type::S16 => Type::Int(Int::S16),
        types::Type::U16 => Type::Int(Int::U16),
        types::Type::S32 => Type::Int(Int::S32),
        types::Type::U32 => Type::Int(Int::U32),
        types::Type::S64 => Type::Int(Int::S64),
        types::Type::U64 => Type::Int(Int::U64),
        types::Type::Float32 => Type::Float32,
        types::Type::Float64 => Type::Float64,
        types::Type::Char => Type::Char,
        types::Type::String => Type::String,
        _ => return None,
    })
}

fn compound(ty: &types::Type, allowance: &mut Allowance) -> Result<Type, Unfit> {
    let boxed = |ty: Option<types::Type>, allowance: &mut Allowance| {
        let ty = ty.map(|ty| of(&ty, allowance)).transpose()?;
        Ok::<_, Unfit>(ty.map(Box::new))
    };
    Ok(match ty {
        types::Type::Record(record) => Type::Record(
            record
                .fields()
                .map(|field| Ok((allowance.name(field.name)?, of(&field.ty, allowance)?)))
                .collect::<Result<_, Unfit>>()?,
        ),
        types::Type::Variant(variant) => Type::Variant(
            variant
                .cases()
                .map(|case| {
                    let name = allowance.name(case.name)?;
                    let ty = case.ty.map(|ty| of(&ty, allowance)).transpose()?;
                    Ok((name, ty))
                })
                .collect::<Result<_, Unfit>>()?,
        ),
        types::Type::List(list) => match of(&list.ty(), allowance)? {
            Type::Int(Int::U8) => Type::Bytes,
            element => Type::List(Box::new(element)),
        },
        types::Type::Tuple(tuple) => Type::Tuple(
            tuple
                .types()
                .map(|ty| of(&ty, allowance))
                .collect::<Result<_, Unfit>>()?,
        ),
        types::Type::Flags(flags) => Type::Flags(allowance.names(flags.names())?),
        types::Type::Enum(cases) => Type::Enum(allowance.names(cases.names())?),
        types::Type::Option(option) => Type::Option(Box::new(of(&option.ty(), allowance)?)),
        types::Type::Result(result) => Type::Result {
            ok: boxed(result.ok(), allowance)?,
            err: boxed(result.err(), allowance)?,
        },
        types::Type::Own(_) | types::Type::Borrow(_) => return Err(no_json("resource")),
        types::Type::Future(_) => return Err(no_json("future")),
        types::Type::Stream(_) => return Err(no_json("stream")),
        types::Type::ErrorContext => return Err(no_json("error context")),
        types::Type::Map(_) => return Err(no_json("map")),
        types::Type::FixedLengthList(_) => return Err(no_json("list of fixed length")),
        other => return plain(other).ok_or_else(|| no_json("type of a newer kind")),
    })
}
