//! Functions and their types from the bytes of a component, which are validated and not compiled.

use wasmparser::{
    PrimitiveValType,
    component_types::{
        ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentInstanceTypeId,
        ComponentItem, ComponentValType,
    },
    types::TypesRef,
};

use super::{
    Exported, Function, Int, LOOKED_AT, Place, Type,
    types::{Allowance, Unfit, no_json},
};

/// Every function among the named exports, in instances too, up to one more than [`FUNCTIONS`](super::FUNCTIONS) of them.
pub(crate) fn functions_of_bytes(types: TypesRef<'_>, exports: &[String]) -> Vec<Exported> {
    let mut found = Vec::new();
    for name in exports {
        match types.component_item_for_export(name).map(|item| item.ty) {
            Some(ComponentEntityType::Func(id)) => {
                let place = Place::top(name);
                let function = types.get(id).map(|function| read(types, function));
                found.extend(function.map(|function| Exported { place, function }));
            }
            Some(ComponentEntityType::Instance(id)) => {
                instance(types, name, id, &mut found);
            }
            _ => {}
        }
        if found.len() >= LOOKED_AT {
            break;
        }
    }
    found
}

fn instance(
    types: TypesRef<'_>,
    name: &str,
    id: ComponentInstanceTypeId,
    found: &mut Vec<Exported>,
) {
    let Some(instance) = types.get(id) else {
        return;
    };
    let left = LOOKED_AT.saturating_sub(found.len());
    let functions =
        instance
            .exports
            .iter()
            .filter_map(|(inner, ComponentItem { ty, .. })| match ty {
                ComponentEntityType::Func(id) => Some(Exported {
                    place: Place::inside(name, inner),
                    function: read(types, types.get(*id)?),
                }),
                _ => None,
            });
    found.extend(functions.take(left));
}

fn read(types: TypesRef<'_>, function: &ComponentFuncType) -> Result<Function, Unfit> {
    if function.async_ {
        return Err("it is asynchronous".to_owned());
    }
    let mut allowance = Allowance::new();
    let params = function
        .params
        .iter()
        .map(|(name, ty)| Ok((allowance.name(name)?, of(types, *ty, &mut allowance)?)))
        .collect::<Result<Vec<_>, Unfit>>()?;
    let result = function
        .result
        .map(|ty| of(types, ty, &mut allowance))
        .transpose()?;
    Ok(Function { params, result })
}

fn of(types: TypesRef<'_>, ty: ComponentValType, allowance: &mut Allowance) -> Result<Type, Unfit> {
    allowance.inside(|allowance| match ty {
        ComponentValType::Primitive(primitive) => of_primitive(primitive),
        ComponentValType::Type(id) => match types.get(id) {
            Some(defined) => of_defined(types, defined, allowance),
            None => Err("its type cannot be read".to_owned()),
        },
    })
}

fn of_primitive(primitive: PrimitiveValType) -> Result<Type, Unfit> {
    Ok(match primitive {
        PrimitiveValType::Bool => Type::Bool,
        PrimitiveValType::S8 => Type::Int(Int::S8),
        PrimitiveValType::U8 => Type::Int(Int::U8),
        PrimitiveValType::S16 => Type::Int(Int::S16),
        PrimitiveValType::U16 => Type::Int(Int::U16),
        PrimitiveValType::S32 => Type::Int(Int::S32),
        PrimitiveValType::U32 => Type::Int(Int::U32),
        PrimitiveValType::S64 => Type::Int(Int::S64),
        PrimitiveValType::U64 => Type::Int(Int::U64),
        PrimitiveValType::F32 => Type::Float32,
        PrimitiveValType::F64 => Type::Float64,
        PrimitiveValType::Char => Type::Char,
        PrimitiveValType::String => Type::String,
        PrimitiveValType::ErrorContext => return Err(no_json("error context")),
    })
}

fn of_defined(
    types: TypesRef<'_>,
    defined: &ComponentDefinedType,
    allowance: &mut Allowance,
) -> Result<Type, Unfit> {
    let boxed = |ty: Option<ComponentValType>, allowance: &mut Allowance| {
        let ty = ty.map(|ty| of(types, ty, allowance)).transpose()?;
        Ok::<_, Unfit>(ty.map(Box::new))
    };
    Ok(match defined {
        ComponentDefinedType::Primitive(primitive) => of_primitive(*primitive)?,
        ComponentDefinedType::Record(record) => Type::Record(
            record
                .fields
                .iter()
                .map(|(name, ty)| Ok((allowance.name(name)?, of(types, *ty, allowance)?)))
                .collect::<Result<_, Unfit>>()?,
        ),
        ComponentDefinedType::Variant(variant) => Type::Variant(
            variant
                .cases
                .iter()
                .map(|(name, case)| {
                    let name = allowance.name(name)?;
                    let ty = case.ty.map(|ty| of(types, ty, allowance)).transpose()?;
                    Ok((name, ty))
                })
                .collect::<Result<_, Unfit>>()?,
        ),
        ComponentDefinedType::List { element, .. } => match of(types, *element, allowance)? {
            Type::Int(Int::U8) => Type::Bytes,
            element => Type::List(Box::new(element)),
        },
        ComponentDefinedType::Tuple(tuple) => Type::Tuple(
            tuple
                .types
                .iter()
                .map(|ty| of(types, *ty, allowance))
                .collect::<Result<_, Unfit>>()?,
        ),
        ComponentDefinedType::Flags(names) => {
            Type::Flags(allowance.names(names.iter().map(|name| name.as_str()))?)
        }
        ComponentDefinedType::Enum(names) => {
            Type::Enum(allowance.names(names.iter().map(|name| name.as_str()))?)
        }
        ComponentDefinedType::Option { ty, .. } => {
            Type::Option(Box::new(of(types, *ty, allowance)?))
        }
        ComponentDefinedType::Result { ok, err, .. } => Type::Result {
            ok: boxed(*ok, allowance)?,
            err: boxed(*err, allowance)?,
        },
        ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => {
            return Err(no_json("resource"));
        }
        ComponentDefinedType::Future { .. } => return Err(no_json("future")),
        ComponentDefinedType::Stream { .. } => return Err(no_json("stream")),
        ComponentDefinedType::Map { .. } => return Err(no_json("map")),
        ComponentDefinedType::FixedLengthList { .. } => {
            return Err(no_json("list of fixed length"));
        }
    })
}
