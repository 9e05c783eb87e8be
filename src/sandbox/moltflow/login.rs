//! `POST /auth/login` and `/auth/refresh`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Json as Answer;
use serde::Deserialize;
use serde_json::json;

use super::error::{ApiFailure, ApiResult, read};
use crate::base::Json;
use crate::sandbox::World;

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

pub async fn login(State(world): State<Arc<World>>, body: Result<Bytes, BytesRejection>) -> ApiResult<Answer<Json>> {
    let login: Login = read(body)?;
    if login.email != world.options.email || login.password != world.options.password.expose() {
        return Err(ApiFailure::unauthorized("wrong email or password"));
    }
    Ok(grant(&world))
}

/// Hands out a new pair; the refresh token that was sent is spent.
pub async fn refresh(State(world): State<Arc<World>>, body: Result<Bytes, BytesRejection>) -> ApiResult<Answer<Json>> {
    let refresh: Refresh = read(body)?;
    if !world.tokens.spend_refresh(&refresh.refresh_token, world.now()) {
        return Err(ApiFailure::unauthorized("the refresh token is invalid or has expired"));
    }
    Ok(grant(&world))
}

fn grant(world: &World) -> Answer<Json> {
    let life_s = world.options.token_life_s;
    let (access, refresh) = world.tokens.issue(world.clock.random(), world.now(), life_s);
    Answer(json!({ "access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": life_s }))
}
